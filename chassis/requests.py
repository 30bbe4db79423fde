"""The vocabulary of requests: ids, texts, reasons, the key that makes a request repeatable, and refusing one while
naming every field at fault."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from tenantmesh.interceptors.errors import Aborted, FieldViolation, InvalidArgument
from tenantmesh.interceptors.tenants import parse_uuid

__all__ = [
    "Problems",
    "RequestKey",
    "expiry_problem",
    "id_problem",
    "reason_problem",
    "refuse",
    "required",
    "stale",
    "text_problem",
]

Problems = Mapping[str, str | None]
"""By field, the rule that its value breaks; None where it breaks none."""

_ID = re.compile(r"[a-z][a-z0-9_]{1,63}")
_LONGEST_REASON = 500
_CONTROL = {"Cc", "Zl", "Zp"}

_Value = TypeVar("_Value")


def refuse(problems: Problems) -> None:
    """Raises InvalidArgument that names every field with a problem. Returns where there is none."""
    violations = [FieldViolation(field, problem) for field, problem in problems.items() if problem]
    if violations:
        raise InvalidArgument.fields(violations)


def required(value: _Value | None) -> _Value:
    """The value of a field that `refuse` has let pass. Raises ValueError for None: then no rule has looked at it."""
    if value is None:
        raise ValueError("a request that lacks a required field was not refused")
    return value


def id_problem(text: str) -> str | None:
    """The rule for ids that people choose which the text breaks, or None."""
    if _ID.fullmatch(text):
        return None
    return "must be 2 to 64 of a-z, 0-9 and underscores, starting with a letter"


def text_problem(text: str, longest: int) -> str | None:
    """The rule that the text breaks, or None. One line of 1 to `longest` characters, not blank."""
    if not text.strip() or len(text) > longest:
        return f"must be 1 to {longest} characters and not only spaces"
    if any(unicodedata.category(character) in _CONTROL for character in text):
        return "must be one line without control characters"
    return None


def reason_problem(reason: str, *, may_be_empty: bool = True) -> str | None:
    """The rule that the reason for a change breaks, or None. A reason may be empty, unless it is said otherwise."""
    return None if may_be_empty and not reason else text_problem(reason, _LONGEST_REASON)


def expiry_problem(expire_time: datetime | None, begins: datetime) -> str | None:
    """The rule that the expiry of something which begins at that moment breaks, or None. Nothing has to expire."""
    if expire_time is None or expire_time > begins:
        return None
    return "must be in the future, and after it begins"


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What makes a request repeatable: the id that its caller chose. Two callers' ids never meet."""

    requester: str
    request_id: uuid.UUID

    @classmethod
    def checked(cls, requester: str, request_id: str) -> RequestKey | None:
        """The key of the request, None when it has no id. Raises InvalidArgument unless the id is a UUID."""
        if not request_id:
            return None
        parsed = parse_uuid(request_id)
        refuse({"request_id": "must be a UUID, and not the nil one" if parsed is None else None})
        return cls(requester, required(parsed))


def stale(what: str) -> Aborted:
    """The refusal of an etag that is not the newest one of, say, the `plan`."""
    return Aborted("ETAG_MISMATCH", f"The {what} has changed since it was read. Read it again and repeat.")
