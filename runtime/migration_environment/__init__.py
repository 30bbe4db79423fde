"""The script that alembic runs around every service's migrations (`env`). `runtime.migrations` runs it.

Alembic loads a folder with an `env.py`; it is a folder of its own, since each service has its own versions.
"""
