"""Signing keys of a service: Ed25519, sealed under its key-encryption key, published before they sign."""
