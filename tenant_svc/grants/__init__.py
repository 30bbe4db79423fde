"""Grants: what operators add to a tenant's allowance."""
