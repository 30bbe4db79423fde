"""Checks: whether a tenant may use a feature now, and for which reason."""
