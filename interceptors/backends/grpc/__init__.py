"""The library's ports, answered by tenant_svc and auth_svc over gRPC."""
