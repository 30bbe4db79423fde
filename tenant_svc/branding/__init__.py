"""Branding: how tenants and the installation look, to the people who sign in."""
