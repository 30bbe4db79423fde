"""The derived parts of the library's README: the table of links, and the default roles.

Each stands between a line `<!-- derived: name -->` and the next `<!-- /derived -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tenantmesh.interceptors.chain import LINKS
from tenantmesh.interceptors.roles import DEFAULT_ROLES
from tooling.reference.tables import code, table

__all__ = ["with_derived_parts"]


def _links() -> str:
    return table(("#", "link", "why here"), ((str(n), row.name, row.reason) for n, row in enumerate(LINKS, 1)))


def _roles() -> str:
    rows = ((code(role), ", ".join(map(code, sorted(permissions)))) for role, permissions in DEFAULT_ROLES.items())
    return table(("role", "permissions"), rows)


_PARTS: Mapping[str, Callable[[], str]] = {"links": _links, "roles": _roles}
_PART = re.compile(r"(<!-- derived: (\w+) -->\n).*?(<!-- /derived -->)", re.DOTALL)


def with_derived_parts(page: str) -> str:
    """Return the page with each derived part as it would be written now. Raises ValueError when the page lacks one."""
    lost = _PARTS.keys() - {part[2] for part in _PART.finditer(page)}
    if lost:
        raise ValueError(f"the page has no part {sorted(lost)}")
    return _PART.sub(lambda part: f"{part[1]}{_PARTS[part[2]]()}{part[3]}", page)
