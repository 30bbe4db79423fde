"""Writes the pages of docs/reference that are derived: errors, settings, command line, API. `python -m` runs it.

Not here: openapi.json, which is `tooling.openapi`'s, and metrics.md, which is written by hand and checked by a test.
"""
