"""Entitlements: the features and limits of each tenant, and where they come from."""
