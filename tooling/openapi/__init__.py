"""The OpenAPI document, made from the annotations by tools of grpc-gateway. `python -m tooling.openapi` writes it."""
