"""The programs of the product on this machine. `table` lists them; a new process is one row there.

A row is a `ServiceProgram` (answers gRPC), a `WorkerProgram` (takes jobs) or the `EdgeProgram` (Envoy). `environment`
has the groups of settings that a row may ask for.
"""
