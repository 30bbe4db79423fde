"""The library's ports on Redis or Valkey, single or cluster: one script call per operation, on the store's clock."""
