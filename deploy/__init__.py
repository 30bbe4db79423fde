"""How TenantMesh runs: the command line, the embedded stack, Envoy's configuration, the database's roles.

Nothing else imports this package.
"""
