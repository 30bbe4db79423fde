"""History: the log of changes of a tenant's entitlements."""
