"""Takes secrets out of what is about to be logged. The last net: code that logs a secret is wrong anyway.

Two passes: values under telling keys are replaced whole; then the finished line is searched for what looks like a
credential, wherever it came from (an exception's text, a driver's message, a repr).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["MASK", "redact_text", "redact_values"]

MASK = "[redacted]"

_TELLING = re.compile(
    r"authorization|password|passwd|passphrase|secret|token|cookie|api[_-]?key|private[_-]?key|credential$|dsn$|_url$",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"(_id|_ids|_count|_type|_name)$", re.IGNORECASE)

# Each pattern with a string that must occur (in lower case) before it is worth trying: a line is mostly innocent.
_CREDENTIALS = (
    ("tm", re.compile(r"(\btm[a-z]{1,4}_)[\w.-]{4,}", re.IGNORECASE)),  # API keys and other prefixed tokens of ours
    ("eyj", re.compile(r"()\beyJ[\w-]+\.[\w-]+\.[\w-]*")),  # JSON web tokens
    ("bearer ", re.compile(r"(\bBearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE)),
    ("basic ", re.compile(r"(\bBasic\s+)[\w.~+/=-]{8,}", re.IGNORECASE)),
    ("://", re.compile(r"(\b[a-z][a-z0-9+]*://[^\s:/@\"']*:)[^\s/\"']+(?=@)", re.IGNORECASE)),  # a URL's password
    ("=", re.compile(r"(\b(?:password|passwd|secret|token|api_?key)=)[^\s&;,\"')]+", re.IGNORECASE)),
)


def redact_values(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with values masked whose key says that they are secret, at any depth."""
    return {key: MASK if _is_secret(key, value) else _inner(value) for key, value in event.items()}


def redact_text(text: str) -> str:
    """Return the text without anything that looks like a credential. Keeps what names it: a scheme, a user, a key."""
    lowered = text.lower()
    for hint, credential in _CREDENTIALS:
        if hint in lowered:
            text = credential.sub(rf"\1{MASK}", text)
    return text


def _is_secret(key: Any, value: Any) -> bool:
    if value is None or isinstance(value, bool) or not isinstance(key, str):
        return False
    return _TELLING.search(key) is not None and _HARMLESS.search(key) is None


def _inner(value: Any) -> Any:
    if isinstance(value, Mapping):
        return redact_values(value)
    if isinstance(value, (list, tuple)):
        return [_inner(item) for item in value]
    return value
