"""Accounts: the users of a tenant, registering, and reading one's own account."""
