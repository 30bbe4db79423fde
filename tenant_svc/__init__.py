"""The service that owns tenants, and what the mesh asks about them."""
