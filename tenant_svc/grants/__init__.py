"""Grants: additions by operators to a tenant's allowance."""
