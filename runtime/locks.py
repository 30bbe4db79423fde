"""The numbers of PostgreSQL's advisory locks: one registry, so that no two uses of a database share a number.

An advisory lock means what its users agree on; the server only knows the number. All are taken in a transaction
(`pg_advisory_xact_lock`) and end with it. The numbers are the contract between processes of different versions: never
change one, and never use the number of a lock that is gone for another.
"""

from __future__ import annotations

__all__ = ["ALLOCATION_PRUNING", "EVENT_LOG", "EVENT_LOG_PRUNING", "LEDGER_PRUNING", "MIGRATIONS", "SIGNING_KEYS"]

MIGRATIONS = 0x746D
"""The first of two numbers; the second is the hash of the schema's name. Held while migrations run."""

EVENT_LOG = 0x746D_5F65_7665_6E74
"""Held from before an event's position is drawn until its commit, so that positions follow commit order."""

EVENT_LOG_PRUNING = EVENT_LOG + 1
"""Held by the one process that deletes old events of tenants, and while a follower of a log is added."""

ALLOCATION_PRUNING = EVENT_LOG + 2
"""Held by the one process that deletes old reservations."""

LEDGER_PRUNING = EVENT_LOG + 3
"""Held by the one process that deletes old periods of the ledger."""

SIGNING_KEYS = 0x746D_6B65_7973
"""Held while signing keys are rotated."""
