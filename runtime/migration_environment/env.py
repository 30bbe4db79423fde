"""Loaded by alembic's commands, never imported: runs the pending migrations on the connection that it is given."""

from __future__ import annotations

from alembic import context

context.configure(**context.config.attributes["options"])
context.run_migrations()
