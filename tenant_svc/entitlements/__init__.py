"""Entitlements: what each tenant may do, and why."""
