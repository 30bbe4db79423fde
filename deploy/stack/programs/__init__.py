"""The programs of the product on this machine. `table` lists them; a new process is one row there.

A row is a `Service` (answers gRPC), a `Worker` (takes jobs) or the `Edge` (Envoy); `environment` has the groups of
settings that a row may ask for.
"""
