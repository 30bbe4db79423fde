"""Login hosts: the hosts at which a tenant is served. Domains whose people belong to it are e-mail domains."""
