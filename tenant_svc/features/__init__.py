"""Features: the parts that plans are made of."""
