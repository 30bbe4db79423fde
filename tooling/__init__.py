"""Programs for developers of TenantMesh: generators of the reference pages and of the OpenAPI document, the clients
that the tests drive the mesh with, and the locked requirements.

Run from the checkout as `python -m tooling.reference`. It is not in the wheel, and no package imports it.
"""
