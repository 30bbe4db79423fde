"""The service that owns tenants, and answers the mesh's questions about them."""
