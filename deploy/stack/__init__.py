"""Real PostgreSQL, Valkey and Envoy and our own programs on one machine: started, supervised and stopped.

`stack.Stack` is the whole product and `engines.engines.Engines` the two databases alone. `programs/` lists what a stack
runs, `engines/` has the databases, `supervision/` starts and ends processes. The modules beside these folders are
their vocabulary: folders, ports, keys, errors. Of the wheels only the programs are used, never their Python helpers.
"""
