"""Purges: destroying all that there is of a deleted tenant, with a signed proof that nothing is left."""
