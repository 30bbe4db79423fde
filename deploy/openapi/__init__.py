"""The OpenAPI document, made from the annotations by grpc-gateway's own tools. `python -m deploy.openapi` writes it."""
