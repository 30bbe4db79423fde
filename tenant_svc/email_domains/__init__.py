"""E-mail domains: the domains of addresses whose people belong to a tenant. Hosts that serve it are login hosts."""
