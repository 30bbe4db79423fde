"""Access tokens: signing keys, issuing, discovery, and introspection for services that can't verify by themselves."""
