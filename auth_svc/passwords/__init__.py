"""The rules of passwords, and hashing in a bounded pool of threads."""
