"""Bounded caches of tenants and entitlements, kept true by a watch."""
