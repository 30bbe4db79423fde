"""Overrides: what a tenant has of a feature instead of what its plan says."""
