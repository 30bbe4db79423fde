"""Set-up links: one-time links with which a tenant's own people do one step of its set-up."""
