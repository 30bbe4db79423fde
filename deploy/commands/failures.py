"""The errors of a command in words for the person who typed it, with what to do."""

from __future__ import annotations

from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.runtime.database import DatabaseError, DatabaseUnavailable, LoginRefused

__all__ = ["in_words"]

_UNREACHABLE = "Check that the database runs and that this machine reaches it; then try again."
_REFUSED = "Check the address: the role, its password and the database."
_OTHERWISE = "See tenantmesh doctor."


def in_words(error: Exception) -> StackError:
    """Return the error as a command prints it. Behind a refusal meant for callers, the database's error counts."""
    cause = error.__cause__
    if isinstance(error, StackError):
        return error
    if isinstance(error, MeshError) and isinstance(cause, DatabaseError):
        return in_words(cause)
    if isinstance(error, MeshError):
        wrong = "; ".join(f"{violation.field}: {violation.description}" for violation in error.violations)
        return StackError(f"{wrong}." if wrong else error.message)
    if isinstance(error, DatabaseError):
        return StackError(f"{error}.", remedy=_remedy(error))
    return _of_the_system(error)


def _remedy(error: DatabaseError) -> str:
    if isinstance(error, LoginRefused):
        return _REFUSED
    return _UNREACHABLE if isinstance(error, DatabaseUnavailable) else _OTHERWISE


def _of_the_system(error: Exception) -> StackError:
    where = getattr(error, "filename", None)
    why = getattr(error, "strerror", None) or str(error)
    return StackError(f"{where}: {why}." if where else f"{why}.")
