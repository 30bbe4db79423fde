"""The database's failures as errors that a use case can act on, and the one place that reads SQLSTATEs.

DatabaseError
├── DatabaseUnavailable     not reachable, too slow, pool exhausted: try later
│   └── CommitUnknown       contact was lost while committing: the work may or may not be stored
├── TransactionConflict     deadlock or serialization failure: run the transaction again
├── ConstraintViolation     .constraint names it
│   ├── UniqueViolation
│   └── ForeignKeyViolation
└── InternalDatabaseError   a defect of ours; never to be answered as "not found"

Messages hold no values of rows; the original error is the `__cause__`, for the log.
"""

from __future__ import annotations

import asyncpg

__all__ = [
    "CommitUnknown",
    "ConstraintViolation",
    "DatabaseError",
    "DatabaseUnavailable",
    "ForeignKeyViolation",
    "InternalDatabaseError",
    "TransactionConflict",
    "UniqueViolation",
    "translated",
]


class DatabaseError(Exception):
    """Base of everything this package raises for a failed statement."""


class DatabaseUnavailable(DatabaseError):
    """The database cannot answer now. Nothing was committed by this transaction."""


class CommitUnknown(DatabaseUnavailable):
    """Contact was lost after COMMIT was sent: the transaction may have been stored. Retry only what is idempotent."""


class TransactionConflict(DatabaseError):
    """Another transaction or a migration won. The same transaction may succeed when run again."""


class ConstraintViolation(DatabaseError):
    """A constraint refused the row. `constraint` is its name in the database."""

    def __init__(self, constraint: str) -> None:
        super().__init__(f"constraint {constraint or '(unnamed)'} refused the row")
        self.constraint = constraint


class UniqueViolation(ConstraintViolation):
    """A unique constraint or index already holds such a row."""


class ForeignKeyViolation(ConstraintViolation):
    """The row points to one that does not exist, or is still pointed to."""


class InternalDatabaseError(DatabaseError):
    """A defect of this program or of its installation; the message says where to look."""


_TENANT_CONTEXT = (
    "tenant context: the statement ran without a usable app.tenant_id, or beyond the privileges of its role "
    "(SQLSTATE {}). Check that it goes through the right door."
)
_UNAVAILABLE_CLASSES = ("08", "53", "57", "58")  # connection, resources, operator intervention, system
_LOCK_TIMEOUT = "55P03"
_IDLE_IN_TRANSACTION_TIMEOUT = "25P03"
_TENANT_CONTEXT_STATES = frozenset({"42704", "22P02", "42501"})
_CONFLICT_STATES = frozenset({"40001", "40P01"})


def translated(error: BaseException) -> DatabaseError:
    """Return our error for one that asyncpg, the socket or the clock raised. Raise it `from` the original."""
    if isinstance(error, DatabaseError):
        return error
    if isinstance(error, asyncpg.PostgresError):
        return _from_server(error)
    if isinstance(error, (OSError, TimeoutError, asyncpg.InternalClientError)):
        return DatabaseUnavailable("the database did not answer")
    if isinstance(error, asyncpg.InterfaceError) and "closed" in str(error):
        return DatabaseUnavailable("the connection to the database was lost")
    return InternalDatabaseError(f"the driver refused the statement ({type(error).__name__})")


def _from_server(error: asyncpg.PostgresError) -> DatabaseError:
    state: str = error.sqlstate or ""
    if state.startswith("23"):
        return _constraint(error)
    if state in _CONFLICT_STATES or isinstance(error, asyncpg.InvalidCachedStatementError):
        return TransactionConflict(f"another transaction won, or the schema changed (SQLSTATE {state})")
    if state.startswith(_UNAVAILABLE_CLASSES) or state in {_LOCK_TIMEOUT, _IDLE_IN_TRANSACTION_TIMEOUT}:
        return DatabaseUnavailable(f"the database refused or gave up (SQLSTATE {state})")
    if state in _TENANT_CONTEXT_STATES:
        return InternalDatabaseError(_TENANT_CONTEXT.format(state))
    return InternalDatabaseError(f"the database refused the statement (SQLSTATE {state})")


def _constraint(error: asyncpg.PostgresError) -> ConstraintViolation:
    name = getattr(error, "constraint_name", None) or ""
    if isinstance(error, asyncpg.UniqueViolationError):
        return UniqueViolation(name)
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return ForeignKeyViolation(name)
    return ConstraintViolation(name)
