"""Plan changes: putting a tenant on another plan."""
