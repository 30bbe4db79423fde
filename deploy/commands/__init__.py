"""The subcommands of `tenantmesh`, one module each; `deploy.cli` puts them together."""
