"""The names that a tenant may have: their one spelling, and the rules. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import cache

import idna
from publicsuffixlist import PublicSuffixList

__all__ = ["LONGEST_NAME", "NameRules", "RefusedName", "normal_form", "unicode_form"]

LONGEST_NAME = 253
_LONGEST_TEXT = 1000
"""The longest text that is looked at: characters of other scripts are longer in their ASCII form."""
_FEWEST_LABELS = 2
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r":[0-9]*$")
_SPECIAL = frozenset(
    {"alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"}
    | {"example.com", "example.net", "example.org"}
)
"""Names that the public DNS never serves (RFC 6761 and the registry that it made), or that documents use."""


class RefusedName(ValueError):
    """A name that no tenant may have. The text says why, as the end of a sentence about the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRules:
    """The rules of an installation.

    base_domain: its own domain, whose subdomains are the tenants' slugs; empty where it has none.
    label: the label below a name at which its proof is published.
    allow_reserved: accept names such as `acme.test`, as on a developer's machine.
    """

    base_domain: str
    label: str
    allow_reserved: bool = False

    def checked(self, text: str) -> str:
        """Return the one spelling of the name. Raises RefusedName."""
        name = normal_form(text)
        if len(self.label) + 1 + len(name) > LONGEST_NAME:
            raise RefusedName(f"must have at most {LONGEST_NAME - len(self.label) - 1} characters in its ASCII form")
        if self.base_domain and is_within(name, self.base_domain.lower().strip(".")):
            raise RefusedName("is a name of this installation; a tenant has its subdomain there already")
        special = any(is_within(name, reserved) for reserved in _SPECIAL)
        if special and not self.allow_reserved:
            raise RefusedName("is reserved for special use, and the public DNS does not serve it")
        if not special and _suffixes().privatesuffix(name) is None:
            raise RefusedName("is a public suffix, under which anybody registers names; give a name below it")
        return name


def normal_form(text: str) -> str:
    """Return the name in ASCII and lower case, without a final dot. Raises RefusedName for a text that is no name."""
    _refuse_other_things(text)
    try:
        name = idna.encode(text, uts46=True, std3_rules=True).decode("ascii").lower().removesuffix(".")
    except UnicodeError as error:  # idna's own errors are of this kind
        raise RefusedName(
            "is no domain name by IDNA 2008; it has a character or a label that is not allowed"
        ) from error
    labels = name.split(".")
    if len(labels) < _FEWEST_LABELS:
        raise RefusedName("must have at least two labels, such as app.acme.com")
    if _NUMBER.fullmatch(labels[-1]):
        raise RefusedName("must be a name and no IP address")
    if len(name) > LONGEST_NAME:
        raise RefusedName(f"must have at most {LONGEST_NAME} characters in its ASCII form")
    return name


def _refuse_other_things(text: str) -> None:
    """Refuse what people give in place of a name, each with a sentence of its own."""
    if not text or text.isspace():
        raise RefusedName("is required")
    if len(text) > _LONGEST_TEXT:
        raise RefusedName(f"must have at most {LONGEST_NAME} characters in its ASCII form")
    if _is_address(text):
        raise RefusedName("must be a name and no IP address")
    if "/" in text or "@" in text:
        raise RefusedName("must be the name alone: no address of a page or of a person")
    if "*" in text:
        raise RefusedName("must be one name; there are no wildcards")
    if _PORT.search(text):
        raise RefusedName("must have no port; the name holds for every port")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def unicode_form(name: str) -> str:
    """Return the name as people write it."""
    try:
        return idna.decode(name)
    except UnicodeError:
        return name


def is_within(name: str, domain: str) -> bool:
    """Return whether the name is the domain, or below it."""
    return name == domain or name.endswith(f".{domain}")


@cache
def _suffixes() -> PublicSuffixList:
    """Return the public suffixes, as the package brings them. Reading them takes a moment, once."""
    return PublicSuffixList()
