"""Runs TenantMesh: the command line, the embedded stack, Envoy's configuration, the database's roles.

Here is what deploys, and nothing else: images, Compose files, manifests and dashboards belong here too, as folders
beside these. What is made for the people who change TenantMesh stands in `tooling/`, which is not in the wheel.
No other package imports this one.
"""
