"""The name of a tenant in the host of a call: a subdomain of the base domain, or a login host. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HostName", "host_name"]

INFRASTRUCTURE_LABELS = frozenset({"www", "api", "app", "admin", "auth", "edge"})
"""Subdomains of the base domain that never name a tenant."""
_LONGEST = 253
_OTHER_CHARACTERS = str.maketrans("", "", "abcdefghijklmnopqrstuvwxyz0123456789-.")


@dataclass(frozen=True, slots=True)
class HostName:
    """A text by which a tenant may be found.

    login_host: whether it is a host of its own and no subdomain of the base domain. Such a one names a tenant only if a
        tenant has it: the installation has hosts too.
    """

    text: str
    login_host: bool


def host_name(host: str, suffix: str) -> HostName | None:
    """Return the name in a host, or None for a host that can name no tenant.

    `suffix` is the base domain with a dot before it, or empty. The text of a subdomain is empty where the host has no
    valid port, so that it names a tenant and none that exists.
    """
    name, colon, port = host.lower().partition(":")
    name = name.removesuffix(".")  # the fully qualified spelling of the same host
    valid = not colon or port.isdigit()
    if suffix and name.endswith(suffix):
        label = name[: -len(suffix)] if valid else ""
        return None if label in INFRASTRUCTURE_LABELS else HostName(label, login_host=False)
    candidate = valid and f".{name}" != suffix and _is_login_host(name)
    return HostName(name, login_host=True) if candidate else None


def _is_login_host(name: str) -> bool:
    """Return whether the text has the form of a login host: labels with dots between, and no address."""
    _, dot, last = name.rpartition(".")
    return bool(dot) and last[:1].isalpha() and len(name) <= _LONGEST and not name.translate(_OTHER_CHARACTERS)
