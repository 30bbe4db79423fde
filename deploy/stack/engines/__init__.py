"""The embedded databases: PostgreSQL and Valkey, from the programs that their wheels carry.

`engines.Engines` starts both; `valkey_cluster` is for tests.
"""
