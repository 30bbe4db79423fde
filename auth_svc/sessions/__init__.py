"""Sessions: signing in, and staying so by refresh tokens."""
