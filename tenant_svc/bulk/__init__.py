"""Many tenants at once: batches, and imports of lines of JSON."""
