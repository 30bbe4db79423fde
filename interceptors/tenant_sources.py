"""The sources of a call that name its tenant: headers, `?tenant=`, and the host."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.interceptors.hosts import host_name
from tenantmesh.interceptors.metadata import (
    FORWARDED_HOST,
    TENANT_ID,
    TENANT_QUERY,
    TENANT_SLUG,
    TENANT_SOURCES,
    duplicate,
)
from tenantmesh.interceptors.tenants import TenantKey, is_slug, parse_tenant_id

__all__ = ["TenantSelector", "names_a_tenant", "selectors"]


@dataclass(frozen=True, slots=True)
class TenantSelector:
    """A source that names a tenant. The key is None where the text has no form of a tenant's id or slug.

    only_if_known: whether it counts only if a tenant has the key, as a host that may be one of the installation's own.
    """

    name: str
    key: TenantKey | None
    only_if_known: bool = False


def names_a_tenant(headers: dict[str, str]) -> bool:
    """Return whether any source may be present. Nearly every call of a user has none, and then nothing is compared."""
    return TENANT_ID in headers or TENANT_SLUG in headers or TENANT_QUERY in headers or FORWARDED_HOST in headers


def selectors(headers: dict[str, str], suffix: str) -> tuple[TenantSelector, ...]:
    """Return the sources that are present. `suffix` is as in `host_name`. Raises InvalidArgument for a repeated one."""
    for key in TENANT_SOURCES:
        if "," in headers.get(key, ""):
            raise duplicate(key)  # a list in one header is a repetition spelt differently
    found = []
    if (text := headers.get(TENANT_ID)) is not None:
        found.append(TenantSelector(TENANT_ID, parse_tenant_id(text)))
    if (text := headers.get(TENANT_SLUG)) is not None:
        found.append(TenantSelector(TENANT_SLUG, text if is_slug(text) else None))
    if (text := headers.get(TENANT_QUERY)) is not None:
        found.append(TenantSelector("?tenant", parse_tenant_id(text) or (text if is_slug(text) else None)))
    if (host := host_name(headers.get(FORWARDED_HOST, ""), suffix)) is not None:
        known = host.login_host or is_slug(host.text)
        found.append(TenantSelector("host", host.text if known else None, only_if_known=host.login_host))
    return tuple(found)
