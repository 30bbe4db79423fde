"""History: the log of what changed a tenant's entitlements."""
