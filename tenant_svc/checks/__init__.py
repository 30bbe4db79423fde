"""Checks: whether a tenant may use a feature now, and why."""
