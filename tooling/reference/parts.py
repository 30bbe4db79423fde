"""The derived parts of pages that people write: links and roles of the library, capabilities of the services.

Each part is between a line `<!-- derived: name -->` and the next `<!-- /derived -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tenantmesh.auth_svc.capabilities import CAPABILITIES as AUTH
from tenantmesh.interceptors.chain import LINKS
from tenantmesh.interceptors.roles import DEFAULT_ROLES
from tenantmesh.tenant_svc.capabilities import CAPABILITIES as TENANT
from tooling.reference.tables import code, table

__all__ = ["PAGES", "with_derived_parts"]


def _links() -> str:
    return table(("#", "link", "why here"), ((str(n), row.name, row.reason) for n, row in enumerate(LINKS, 1)))


def _roles() -> str:
    rows = ((code(role), ", ".join(map(code, sorted(permissions)))) for role, permissions in DEFAULT_ROLES.items())
    return table(("role", "permissions"), rows)


def _capabilities() -> str:
    services = {"tenant_svc": TENANT, "auth_svc": AUTH}
    rows = (
        (code(f"{service}/{name}/"), reason) for service, listed in services.items() for name, reason in listed.items()
    )
    return table(("capability", "why here"), rows)


_PARTS: Mapping[str, Callable[[], str]] = {"links": _links, "roles": _roles, "capabilities": _capabilities}
PAGES: Mapping[str, tuple[str, ...]] = {
    "interceptors/README.md": ("links", "roles"),
    "docs/architecture.md": ("capabilities",),
}
"""Page → the derived parts that it must have."""
_PART = re.compile(r"(<!-- derived: (\w+) -->\n).*?(<!-- /derived -->)", re.DOTALL)


def with_derived_parts(page: str, expected: tuple[str, ...]) -> str:
    """Return the page with each derived part as it would be written now. Raises ValueError when the page lacks one."""
    lost = set(expected) - {part[2] for part in _PART.finditer(page)}
    if lost:
        raise ValueError(f"the page has no part {sorted(lost)}")
    return _PART.sub(lambda part: f"{part[1]}{_PARTS[part[2]]()}{part[3]}", page)
