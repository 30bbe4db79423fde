"""In-memory adapters of the library's ports: for one process, for tests, and as plain statements of their rules."""
