"""The database's failures as errors that a use case can act on, and the one place that reads SQLSTATEs.

DatabaseError
├── DatabaseUnavailable     not reachable, too slow, a standby, pool exhausted: try later
│   ├── ShareInUse          the caller's own share of the connections is in use: others are served
│   ├── CommitUnknown       contact was lost while committing: the work may or may not be stored
│   └── StandbyReached      the server is a standby, which takes no writes
├── TenantPurged            the tenant is gone for good: no row of it is written any more
├── TransactionConflict     deadlock or serialization failure: run the transaction again
├── ConstraintViolation     .constraint names it
│   ├── UniqueViolation
│   └── ForeignKeyViolation
└── InternalDatabaseError   a defect of ours; never to be answered as "not found"
    └── LoginRefused        the address, role, password or database is wrong

Messages are for logs and for people at the command line, never for callers. They hold no values of rows: the server's
own words are in them only where those are about the connection. The original error is the `__cause__`.
"""

from __future__ import annotations

import asyncpg

__all__ = [
    "PURGE_FENCE",
    "CommitUnknown",
    "ConstraintViolation",
    "DatabaseError",
    "DatabaseUnavailable",
    "ForeignKeyViolation",
    "InternalDatabaseError",
    "LoginRefused",
    "ShareInUse",
    "StandbyReached",
    "TenantPurged",
    "TransactionConflict",
    "UniqueViolation",
    "begin_failed",
    "translated",
]


class DatabaseError(Exception):
    """Base of everything this package raises for a failed statement."""


class DatabaseUnavailable(DatabaseError):
    """The database cannot answer now. Nothing was committed by this transaction."""


class ShareInUse(DatabaseUnavailable):
    """The caller's own share of the connections, or of the places to wait for one, is in use. Others are served."""


class CommitUnknown(DatabaseUnavailable):
    """Contact was lost after COMMIT was sent: the transaction may have been stored. Retry only what is idempotent."""


class StandbyReached(DatabaseUnavailable):
    """The server takes no writes: it is a standby, as after a failover. A new connection may reach the primary."""


class TransactionConflict(DatabaseError):
    """Another transaction or a migration won. The same transaction may succeed when run again."""


class TenantPurged(DatabaseError):
    """The tenant's data was destroyed meanwhile, and no row of it may come back."""


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


class LoginRefused(InternalDatabaseError):
    """The server does not let us in: the address, the role, its password or the database is wrong."""


PURGE_FENCE = "purge_fence"
"""The name of the policies that refuse rows of a purged tenant. The server's refusal has it in quotes."""
_NO_PRIVILEGE = "42501"
_TENANT_CONTEXT = (
    "tenant context: the statement ran without a usable app.tenant_id, or beyond the privileges of its role "
    "(SQLSTATE {}). Check that it goes through the right door."
)
_UNAVAILABLE_CLASSES = ("08", "53", "57", "58")  # connection, resources, operator intervention, system
_UNAVAILABLE_STATES = frozenset(
    {
        "55P03",  # a lock was not free in time
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
    }
)
_LOGIN_CLASSES = ("28", "3D")  # invalid authorization, no such database
_NO_WRITES = frozenset({"0A000", "25006"})  # a standby's answers to BEGIN READ WRITE, by version
_TENANT_CONTEXT_STATES = frozenset({"42704", "22P02", _NO_PRIVILEGE})
_CONFLICT_CLASS = "40"


def translated(error: BaseException) -> DatabaseError:
    """Return our error for one that asyncpg, the socket or the clock raised. Raise it `from` the original."""
    if isinstance(error, DatabaseError):
        return error
    if isinstance(error, asyncpg.PostgresError):
        return _from_server(error)
    if isinstance(error, OSError) and error.strerror:
        return DatabaseUnavailable(f"the database did not answer: {error.strerror}")
    if isinstance(error, (OSError, TimeoutError, asyncpg.InternalClientError)):
        return DatabaseUnavailable("the database did not answer")
    if isinstance(error, asyncpg.InterfaceError) and "closed" in str(error):
        return DatabaseUnavailable("the connection to the database was lost")
    return InternalDatabaseError(f"the driver refused the statement ({type(error).__name__})")


def begin_failed(error: BaseException) -> DatabaseError:
    """Return our error for a transaction that could not begin. A standby refuses to begin one that may write."""
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate in _NO_WRITES:
        return StandbyReached(f"the database is a standby, which takes no writes (SQLSTATE {error.sqlstate})")
    return translated(error)


def _from_server(error: asyncpg.PostgresError) -> DatabaseError:
    state: str = error.sqlstate or ""
    if state.startswith("23"):
        return _constraint(error)
    if state.startswith(_CONFLICT_CLASS) or isinstance(error, asyncpg.InvalidCachedStatementError):
        return TransactionConflict(f"another transaction won, or the schema changed (SQLSTATE {state})")
    if state.startswith(_UNAVAILABLE_CLASSES) or state in _UNAVAILABLE_STATES:
        return DatabaseUnavailable(f"the database refused or gave up (SQLSTATE {state}): {error}")
    if state.startswith(_LOGIN_CLASSES):
        return LoginRefused(f"the database refused the login (SQLSTATE {state}): {error}")
    if state == _NO_PRIVILEGE and f'"{PURGE_FENCE}"' in str(error):
        return TenantPurged("the tenant was purged while this transaction was under way")
    told = _TENANT_CONTEXT if state in _TENANT_CONTEXT_STATES else "the database refused the statement (SQLSTATE {})"
    return InternalDatabaseError(told.format(state))


def _constraint(error: asyncpg.PostgresError) -> ConstraintViolation:
    name = getattr(error, "constraint_name", None) or ""
    if isinstance(error, asyncpg.UniqueViolationError):
        return UniqueViolation(name)
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return ForeignKeyViolation(name)
    return ConstraintViolation(name)
