"""Features: what plans are made of."""
