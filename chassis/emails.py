"""E-mail addresses: which are accepted, and which two are the same (docs/decisions/0026)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import idna

from tenantmesh.chassis.requests import INVISIBLE

__all__ = ["EmailAddress", "EmailRefused", "email_problem", "parse_email"]

MAX_LENGTH = 254
"""The length limit of RFC 5321, in characters as written and in octets as normalised."""

_MAX_LOCAL = 64
_MAX_DOMAIN = 253
# The joiners are left to the rules of each part: letters of some languages need them, and they are refused there.
_INVISIBLE = re.compile(f"(?![\u200c\u200d]){INVISIBLE.pattern}")
# A character of a dot-atom. Beyond ASCII, letters and digits are allowed as in RFC 6531; `_in_atom` adds marks.
_LOCAL = re.compile(r"[^\W_]|[!#$%&'*+/=?^_`{|}~-]")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


class EmailRefused(ValueError):
    """The text is not an address that can have an account. The message names the rule that it breaks."""


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An address as written, and its normalised form. Two addresses are the same if their normalised forms are."""

    written: str
    normalised: str
    """NFKC, lower case, the domain in its ASCII form."""

    @property
    def local_part(self) -> str:
        """The part before the @, as written."""
        return self.written.rpartition("@")[0]


def parse_email(text: str) -> EmailAddress:
    """Return the address in the text. Raises EmailRefused.

    The part before the @ is lowered too: mail servers that distinguish `Ann` from `ann` are rarer than people who
    spell their own address in two ways.
    """
    if not text:
        raise EmailRefused("is required")
    if len(text) > MAX_LENGTH:
        raise EmailRefused(f"must have at most {MAX_LENGTH} characters")
    if _INVISIBLE.search(text):
        raise EmailRefused("must have no invisible characters: type it instead of pasting it")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
    local, at, domain = folded.partition("@")
    if not at or "@" in domain:
        raise EmailRefused("must be one address of the form name@example.com")
    normalised = f"{_checked_local(local)}@{_ascii_domain(domain)}"
    if len(normalised.encode()) > MAX_LENGTH:
        raise EmailRefused(f"must have at most {MAX_LENGTH} octets")
    return EmailAddress(text, normalised)


def email_problem(text: str) -> str | None:
    """Return the rule of `parse_email` that the text breaks, or None."""
    try:
        parse_email(text)
    except EmailRefused as refused:
        return str(refused)
    return None


def _checked_local(local: str) -> str:
    atoms = local.split(".")
    if not all(atom and all(_in_atom(character) for character in atom) for atom in atoms):
        raise EmailRefused("must have letters, digits and single dots before the @, without spaces or quotes")
    if len(local.encode()) > _MAX_LOCAL:
        raise EmailRefused(f"must have at most {_MAX_LOCAL} octets before the @")
    return local


def _in_atom(character: str) -> bool:
    return _LOCAL.fullmatch(character) is not None or unicodedata.category(character).startswith("M")


def _ascii_domain(domain: str) -> str:
    encoded = domain if domain.isascii() else _encoded(domain)
    labels = encoded.split(".")
    proper = len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdecimal()
    if not proper or len(encoded) > _MAX_DOMAIN:
        raise EmailRefused("must have a domain name after the @")
    return encoded


def _encoded(domain: str) -> str:
    """Return the ASCII form of a domain in letters beyond ASCII.

    IDNA 2003 and IDNA 2008 encode some letters differently, and the two domains may have different owners. A domain on
    which they disagree is refused, because mail to it would reach one or the other depending on the sender's software.
    """
    older, newer = _idna_2003(domain), _idna_2008(domain)
    if older != newer:
        raise EmailRefused(
            "must have its domain name in ASCII form (xn--…): it holds a letter that can be read in two ways"
        )
    return newer


def _idna_2003(domain: str) -> str:
    try:
        return domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""


def _idna_2008(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError:
        return ""
