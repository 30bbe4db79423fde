"""Sessions: signing in, and staying signed in by refresh tokens."""
