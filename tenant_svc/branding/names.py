"""The tenant whose branding a call asks for, by the names that it may give. A name that can't be one asks for none."""

from __future__ import annotations

from tenantmesh.chassis.requests import refuse
from tenantmesh.interceptors.hosts import host_name
from tenantmesh.interceptors.tenants import TenantKey, is_slug, parse_tenant_id

__all__ = ["HostNames", "asked_for"]


class HostNames:
    """Reads the name of a tenant off a host: a subdomain of the base domain, or a host of the tenant's own."""

    def __init__(self, base_domain: str) -> None:
        self._suffix = f".{base_domain.lower()}" if base_domain else ""

    def key(self, host: str) -> TenantKey | None:
        """Return the slug or the host that the text names; None where it names no tenant."""
        found = host_name(host, self._suffix)
        return found.text if found is not None and (found.login_host or is_slug(found.text)) else None


def asked_for(hosts: HostNames, *, slug: str, host: str, tenant_query: str, own_host: str) -> TenantKey | None:
    """Return the tenant that a call asks for: by slug or host, else by `?tenant=`, else by the host it came to.

    Raises InvalidArgument when the request has both a slug and a host.
    """
    refuse({"host": "must be empty when slug is set: send one of them" if slug and host else None})
    if host:
        return hosts.key(host)
    named = slug or tenant_query
    if named:
        return parse_tenant_id(named) or (named if is_slug(named) else None)  # an id may have the form of a slug
    return hosts.key(own_host)
