"""The vocabulary of requests: ids, texts, reasons, idempotency keys, and the refusal that names every wrong field."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.errors import Aborted, FieldViolation, InvalidArgument
from tenantmesh.interceptors.tenants import parse_uuid

__all__ = [
    "INVISIBLE",
    "Problems",
    "RequestKey",
    "expiry_problem",
    "id_problem",
    "name_problem",
    "reason_problem",
    "refuse",
    "required",
    "stale",
    "text_problem",
]

Problems = Mapping[str, str | None]
"""The broken rule of each field; None for a field that keeps its rules."""

_ID = re.compile(r"[a-z][a-z0-9_]{1,63}")
_LONGEST_REASON = 500
_CONTROL = {"Cc", "Zl", "Zp"}
# Unicode's Default_Ignorable_Code_Point, apart from those that no version assigns.
_IGNORABLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_BLANK = re.compile(rf"[\s\u2800{_IGNORABLE}]*")
INVISIBLE = re.compile(f"[{_IGNORABLE}]")
"""A character that shows nothing, or only formats others."""
# Unicode's Bidi_Control: a reader sees the characters around it in another order than they are stored.
_DIRECTION = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WORD = re.compile(r"\w+")
_WITHIN_WORDS = {"Mn", "Me", "Cf"}
"""Categories of accents, and of characters that show nothing or format others."""
_ALIKE = {"LATIN", "CYRILLIC", "GREEK"}
"""Scripts that share the shapes of many letters, by the first word of their characters' names."""

_Value = TypeVar("_Value")


def refuse(problems: Problems) -> None:
    """Raise InvalidArgument that names every field with a problem. Return if there is none."""
    violations = [FieldViolation(field, problem) for field, problem in problems.items() if problem]
    if violations:
        raise InvalidArgument.fields(violations)


def required(value: _Value | None) -> _Value:
    """Return the value of a field that `refuse` has passed. Raises ValueError for None: then no rule has checked it."""
    if value is None:
        raise ValueError("a request that lacks a required field was not refused")
    return value


def id_problem(text: str) -> str | None:
    """Return the rule that a chosen id breaks, or None."""
    if _ID.fullmatch(text):
        return None
    return "must be 2 to 64 of a-z, 0-9 and underscores, starting with a letter"


def text_problem(text: str, longest: int) -> str | None:
    """Return the rule that the text breaks, or None. It must be one line of 1 to `longest` characters, of which a
    reader sees at least one."""
    if len(text) > longest:
        return f"must be 1 to {longest} characters"
    if text.isascii() and text.isprintable() and text.strip():
        return None  # nearly every text; what follows looks at each character
    if any(unicodedata.category(character) in _CONTROL for character in text):
        return "must be one line without control characters"
    if _DIRECTION.search(text):
        return "must not contain characters that set the direction of text, such as U+202E; letters have their own"
    if _BLANK.fullmatch(text):
        return f"must be 1 to {longest} characters and not only spaces or invisible ones"
    return None


def name_problem(name: str, longest: int) -> str | None:
    """Return the rule that the name breaks, or None. Beyond `text_problem`, no word of it may mix Latin, Greek and
    Cyrillic letters: it could look like another name."""
    problem = text_problem(name, longest)
    if problem or name.isascii():
        return problem
    words = _WORD.findall(_letters_and_signs(name))
    mixed = next((word for word in words if len(_scripts(word) & _ALIKE) > 1), None)
    return mixed and f"must write each word in one script; {mixed} mixes letters that look alike"


def _letters_and_signs(name: str) -> str:
    """Return the name without characters that a reader takes for a part of the letter before, or does not see: they
    end no word."""
    return "".join(each for each in name if unicodedata.category(each) not in _WITHIN_WORDS)


def _scripts(word: str) -> set[str]:
    return {unicodedata.name(character, "").split(" ", 1)[0] for character in word if character.isalpha()}


def reason_problem(reason: str, *, may_be_empty: bool = True) -> str | None:
    """Return the rule that the reason for a change breaks, or None. By default a reason may be empty."""
    return None if may_be_empty and not reason else text_problem(reason, _LONGEST_REASON)


def expiry_problem(expire_time: datetime | None, begins: datetime) -> str | None:
    """Return the rule that an expiry breaks, or None. It must be after the beginning; None means no expiry."""
    if expire_time is None or expire_time > begins:
        return None
    return "must be in the future, and after the time from which it is in force"


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The idempotency key of a request: an id chosen by its caller. Ids of different callers are different keys.

    requester: the caller's name. It outlives the credential: a repetition may come with the caller's next key.
    credential: the call's credential. Requests were stored with it before they were stored with the name.
    """

    requester: str
    request_id: uuid.UUID
    credential: str = ""

    @classmethod
    def checked(cls, caller: Caller, request_id: str) -> RequestKey | None:
        """Return the key of the request; None when it has no id. Raises InvalidArgument unless the id is a UUID."""
        if not request_id:
            return None
        parsed = parse_uuid(request_id)
        refuse({"request_id": "must be a UUID, and not the nil one" if parsed is None else None})
        return cls(caller.subject, required(parsed), caller.credential_id)


def stale(what: str) -> Aborted:
    """Return the refusal of an etag that is out of date. `what` names the resource, such as `plan`."""
    return Aborted("ETAG_MISMATCH", f"The {what} has changed since it was read. Read it again and repeat.")
