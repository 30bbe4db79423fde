"""Tenants: creating, finding, suspending them, and telling the mesh when one changes."""
