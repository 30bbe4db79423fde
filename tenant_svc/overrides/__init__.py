"""Overrides: a tenant's values of features in place of its plan's."""
