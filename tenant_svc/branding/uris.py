"""The addresses of pages and pictures that a branding may name."""

from __future__ import annotations

import re

__all__ = ["uri_problem"]

_LONGEST = 2048
_SCHEME = "https://"
# The characters of RFC 3986. All others may be written with a percent sign.
_CHARACTERS = re.compile(r"(?:[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_PLACE_ENDS = re.compile(r"[/?]")  # urlsplit raises for a bracket that stands alone
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?", re.ASCII)
_HIGHEST_PORT = 65535


def uri_problem(text: str) -> str | None:
    """Return the rule that an address breaks, or None. It must be an https address in ASCII without credentials."""
    if len(text) > _LONGEST:
        return f"must have at most {_LONGEST} characters"
    if not text.startswith(_SCHEME):
        return "must be an address that starts with https://"
    if not _CHARACTERS.fullmatch(text):
        return (
            "must have the characters of an address only: ASCII, without spaces and #. Write others with a percent "
            "sign, and a host in its ASCII form (xn--…)"
        )
    return _host_problem(_PLACE_ENDS.split(text.removeprefix(_SCHEME), maxsplit=1)[0])


def _host_problem(place: str) -> str | None:
    if "@" in place:
        return "must have no user name and no password"
    host, colon, port = place.partition(":")
    if not _HOST.fullmatch(host):
        return "must have a host name after https://, such as www.example.com"
    if colon and not (port.isdecimal() and 0 < int(port) <= _HIGHEST_PORT):
        return "must have a port between 1 and 65535, or none"
    return None
