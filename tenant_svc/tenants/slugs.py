"""The slugs that tenants may take: the form that `interceptors.tenants.is_slug` checks, and the exceptions to it."""

from __future__ import annotations

from importlib.resources import files

from tenantmesh.interceptors.tenants import is_slug, parse_tenant_id

__all__ = ["RESERVED", "slug_problem"]

FORM = "must be 3 to 40 of a-z, 0-9 and single hyphens, starting with a letter and not ending with a hyphen"


def _reserved() -> frozenset[str]:
    lines = files(__package__).joinpath("reserved_slugs.txt").read_text("ascii").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


RESERVED = _reserved()
"""Slugs that no tenant may have."""


def slug_problem(slug: str) -> str | None:
    """Return the rule that the slug breaks, or None."""
    if not is_slug(slug):
        return FORM
    if slug in RESERVED:
        return "is reserved; choose another"
    if parse_tenant_id(slug) is not None:
        return "must not look like a tenant id"  # `{id}` accepts ids and slugs, so a slug must not be an id
    return None
