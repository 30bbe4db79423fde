"""Plans: the versions of what tenants can buy."""
