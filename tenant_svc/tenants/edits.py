"""An edit of a tenant: which fields a request sets to what, and the tenant after it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from tenantmesh.chassis.requests import Problems, refuse
from tenantmesh.interceptors.errors import PermissionDenied
from tenantmesh.tenant_svc.tenants.profile import Profile, profile_problems
from tenantmesh.tenant_svc.tenants.slugs import slug_problem
from tenantmesh.tenant_svc.tenants.tenant import Tenant, display_name_problem

__all__ = ["SETTABLE", "TenantEdit", "value_of"]

_IN_PROFILE = (
    *("labels", "region", "external_id", "time_zone", "locale", "currency", "contacts"),
    "delete_protection",
)
_NAMES = ("slug", "display_name")
SETTABLE = frozenset({*_NAMES, *_IN_PROFILE})
"""The fields that an update may set."""
SETTABLE_BY_USERS = frozenset({"display_name", "time_zone", "locale", "contacts"})
"""The fields that a user of the tenant may set."""
_LONGEST_MASK = 100
_LONGEST_PATH = 64
"""The longest path that a refusal repeats."""
_WHOLE = (
    "is required: without update_mask the whole tenant is replaced. Send the tenant as GetTenant answers it, or name "
    "the fields to change in update_mask"
)


@dataclass(frozen=True, slots=True)
class TenantEdit:
    """New values of a tenant's fields.

    fields: the fields to set.
    whole: True when the caller replaces all that it may set. Immutable fields may then be missing.
    etag: the version of the tenant that it was made for; empty for any.
    """

    slug: str
    display_name: str
    profile: Profile
    fields: frozenset[str]
    whole: bool
    etag: str = ""

    @classmethod
    def checked(
        cls, *, slug: str, display_name: str, profile: Profile, mask: Iterable[str], etag: str, by_user: bool
    ) -> TenantEdit:
        """Check the mask, and that a whole tenant has its names: a request whose mask was forgotten would clear what it
        leaves out. Raises InvalidArgument, and PermissionDenied `FIELD_NOT_ALLOWED` for a field that users can't
        set."""
        paths, allowed = list(mask), SETTABLE_BY_USERS if by_user else SETTABLE
        whole = paths in ([], ["*"])
        edit = cls(slug, display_name, profile, allowed if whole else frozenset(paths), whole, etag)
        refuse({"update_mask": _mask_problem(paths, whole=whole)})
        if edit.fields - allowed:
            raise _not_allowed(sorted(edit.fields - allowed))
        refuse({f"tenant.{name}": _WHOLE for name in _NAMES if whole and not getattr(edit, name)})
        return edit

    def applied_to(self, tenant: Tenant) -> Tenant:
        """Return the tenant after the edit. Raises InvalidArgument that names every field at fault: a change of an
        immutable one, and a new value that breaks a rule. A value that stays may be older than the rule."""
        self._refuse_immutable(tenant)
        profile = replace(tenant.profile, **{name: self._value(tenant, name) for name in self._of_profile()})
        names = {name: getattr(self, name) for name in _NAMES if name in self.fields}
        edited = replace(tenant, **names, profile=profile)
        changed = {name for name in self.fields if value_of(edited, name) != value_of(tenant, name)}
        refuse({f"tenant.{path}": problem for path, problem in _problems(edited, changed).items()})
        return edited

    def _of_profile(self) -> Iterable[str]:
        return self.fields.intersection(_IN_PROFILE)

    def _value(self, tenant: Tenant, name: str) -> Any:
        if name == "region":
            return self.profile.region or tenant.profile.region
        return getattr(self.profile, name)

    def _refuse_immutable(self, tenant: Tenant) -> None:
        was, now = tenant.profile, self.profile
        moved = "region" in self.fields and was.region and now.region != was.region and (now.region or not self.whole)
        # A user does not see the parent: in what it puts back, it is ignored like other fields that are not its own.
        adopted = self.whole and self.fields == SETTABLE and now.parent_id not in {None, was.parent_id}
        refuse(
            {
                "tenant.region": f"is immutable: it is {was.region}" if moved else None,
                "tenant.parent_id": "is immutable: it is set when the tenant is created" if adopted else None,
            }
        )


def value_of(tenant: Tenant, field: str) -> object:
    """Return the value of one of the `SETTABLE` fields."""
    return getattr(tenant if field in _NAMES else tenant.profile, field)


def _problems(tenant: Tenant, fields: Collection[str]) -> Problems:
    """Return the broken rules of the fields, by the path in the tenant."""
    problems = {
        "slug": slug_problem(tenant.slug),
        "display_name": display_name_problem(tenant.display_name),
        **profile_problems(tenant.profile),
    }
    return {path: problem for path, problem in problems.items() if path.partition("[")[0] in fields}


def _mask_problem(paths: list[str], *, whole: bool) -> str | None:
    if whole:
        return None
    if len(paths) > _LONGEST_MASK:
        return f"must name at most {_LONGEST_MASK} fields"
    unknown = sorted(path for path in paths if path not in SETTABLE)
    if not unknown:
        return None
    if "*" in unknown:
        return "must be * alone, or names of fields"
    # A path may be long, or hold anything that a client can send.
    shown = (
        unknown[0]
        if unknown[0].isascii() and unknown[0].isprintable() and len(unknown[0]) <= _LONGEST_PATH
        else "a path"
    )
    return f"names {shown}, which can't be set here. The fields are {', '.join(sorted(SETTABLE))}"


def _not_allowed(fields: list[str]) -> PermissionDenied:
    may = ", ".join(sorted(SETTABLE_BY_USERS))
    return PermissionDenied(
        "FIELD_NOT_ALLOWED",
        f"Users may set {may} of their tenant. Ask the operator of this installation to change {', '.join(fields)}.",
        metadata={"fields": ",".join(fields)},
    )
