"""Tenants: creating, finding and suspending them, and notifying the mesh when one changes."""
