"""Refusals, as data. This module knows nothing of gRPC; `servers/status.py` is the one place that maps it.

    MeshError
    ├── InvalidArgument        the request itself is wrong; `violations` lists the fields
    ├── OutOfRange             past what exists, such as an expired cursor
    ├── Unauthenticated        the caller is not established
    ├── PermissionDenied       the caller is known and may not do this
    ├── NotFound               no such thing, or none the caller may know of
    ├── AlreadyExists          the name is taken
    ├── Aborted                a concurrent change won; read again and repeat
    ├── FailedPrecondition     not in this state
    ├── ResourceExhausted      a limit; `retry_after` says when to come back
    ├── DeadlineExceeded       out of time
    ├── Unavailable            a part is down; retry with backoff
    ├── Unimplemented          the service does not have the method
    └── Internal               our fault; the text is for the log, the caller gets the request id

A service names its own errors in a class of its own, so that their reasons can't be taken for those of the mesh:

    class NoteLocked(FailedPrecondition):
        domain = "notes.example.com"

An error has two faces: `message` goes to the caller and says what to do next; the cause (`raise … from cause`) stays in
the log. Both are joined by the request id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import ClassVar, Self
from uuid import UUID

from tenantmesh.interceptors.names import MOST_NAMED

__all__ = [
    "Aborted",
    "AlreadyExists",
    "DeadlineExceeded",
    "FailedPrecondition",
    "FieldViolation",
    "Internal",
    "InvalidArgument",
    "Kind",
    "MeshError",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "QuotaViolation",
    "ResourceExhausted",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
]


class Kind(Enum):
    """The canonical kinds of failure, named as in google.rpc.Code."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    ABORTED = "ABORTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request and the rule that it breaks."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class QuotaViolation:
    """A limit that was reached.

    subject: whose it is, as `tenant:<id>`.
    metric: the meter, gauge or rate class.
    id: which limit of it, such as `allowance` or `burst`.
    """

    subject: str
    description: str
    metric: str = ""
    id: str = ""
    limit: int = 0

    @classmethod
    def of_allowance(cls, tenant_id: UUID, meter: str, limit: int) -> Self:
        """Return the violation of a tenant's allowance that is used up."""
        return cls(f"tenant:{tenant_id}", f"{limit} of {meter} in a period", meter, "allowance", limit)


_NO_SECRETS = ("feature", "gauge", "meter", "scope")
"""Metadata that is the same for every tenant."""


class MeshError(Exception):
    """A refusal: kind, reason, and a message that tells the caller what to do next.

    `reason` is a value of a documented `ErrorReason` enum without its prefix. `metadata` is for machines; it holds no
    secret and nothing of another tenant.

    `to_strangers` is the message for callers without a credential, of an error that tells a tenant's plan or numbers.
    """

    kind: ClassVar[Kind]
    domain: ClassVar[str] = "tenantmesh"
    """The `domain` of ErrorInfo, within which the reason is unique (AIP-193). A service's own errors set its own."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        quota_violations: Sequence[QuotaViolation] = (),
        retry_after: timedelta | None = None,
        to_strangers: str = "",
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.quota_violations = tuple(quota_violations)
        self.retry_after = retry_after
        self.to_strangers = to_strangers

    def told_to_strangers(self) -> MeshError:
        """Return the error as a caller without a credential gets it: without the tenant's plan, limits and levels."""
        if not self.to_strangers:
            return self
        told = self._copied()
        told.message = self.to_strangers
        told.metadata = {name: self.metadata[name] for name in _NO_SECRETS if name in self.metadata}
        told.quota_violations = ()
        return told

    def told_in_json(self) -> MeshError:
        """Return the error as a caller over REST gets it: fields are named as in the JSON that it sends."""
        if not self.violations:
            return self
        told = self._copied()
        told.violations = tuple(FieldViolation(_json_path(each.field), each.description) for each in self.violations)
        for before, after in zip(self.violations, told.violations, strict=True):
            line, changed = (f"{each.field}: {each.description}" for each in (before, after))
            told.message = told.message.replace(line, changed, 1)
        return told

    def _copied(self) -> MeshError:
        copied = type(self).__new__(type(self))  # a subclass may take other arguments
        copied.__dict__.update(self.__dict__)
        return copied


def _json_path(path: str) -> str:
    """Return a path of fields in lowerCamelCase, as JSON of messages has it."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), path)


class InvalidArgument(MeshError):
    """The request is wrong whatever the state of the system."""

    kind = Kind.INVALID_ARGUMENT

    @classmethod
    def fields(cls, violations: Iterable[FieldViolation]) -> InvalidArgument:
        """Return the error that names the fields which break their rules: the first ten, and how many more."""
        listed = _first(tuple(violations))
        summary = "; ".join(f"{violation.field}: {violation.description}" for violation in listed)
        return cls("INVALID_FIELD", f"Correct these fields and send the request again: {summary}", violations=listed)


def _first(violations: tuple[FieldViolation, ...]) -> tuple[FieldViolation, ...]:
    if len(violations) <= MOST_NAMED:
        return violations
    *named, last = violations[:MOST_NAMED]
    more = f"{last.description}; {len(violations) - MOST_NAMED} more fields break their rules"
    return (*named, FieldViolation(last.field, more))


class OutOfRange(MeshError):
    """The request points past what exists."""

    kind = Kind.OUT_OF_RANGE


class Unauthenticated(MeshError):
    """The caller is not established."""

    kind = Kind.UNAUTHENTICATED


class PermissionDenied(MeshError):
    """The caller is known and may not do this."""

    kind = Kind.PERMISSION_DENIED


class NotFound(MeshError):
    """No such thing, or none that the caller may know of."""

    kind = Kind.NOT_FOUND


class AlreadyExists(MeshError):
    """The thing to create exists already."""

    kind = Kind.ALREADY_EXISTS


class Aborted(MeshError):
    """A concurrent change won; read again and repeat."""

    kind = Kind.ABORTED


class FailedPrecondition(MeshError):
    """The system is not in the state that the call needs."""

    kind = Kind.FAILED_PRECONDITION


class ResourceExhausted(MeshError):
    """A limit was reached."""

    kind = Kind.RESOURCE_EXHAUSTED


class DeadlineExceeded(MeshError):
    """The call ran out of time."""

    kind = Kind.DEADLINE_EXCEEDED


class Unavailable(MeshError):
    """A part of the mesh that the call needs can't be reached; retry with backoff."""

    kind = Kind.UNAVAILABLE


class Unimplemented(MeshError):
    """The service does not have the method, or has not written it yet."""

    kind = Kind.UNIMPLEMENTED


class Internal(MeshError):
    """Something failed on our side. The message is for the log: callers get the request id."""

    kind = Kind.INTERNAL
