"""Levels of what this service keeps for a tenant, limited where they rise and told to tenant_svc."""
