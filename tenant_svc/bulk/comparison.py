"""Lines of an import beside the tenants that exist: which are new, which change a tenant, which are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.tenant.v1.tenant_service_pb2 import CreateTenantRequest
from tenantmesh.tenant_svc.bulk.lines import ImportLine, RejectedLine, TenantLine, reason_of
from tenantmesh.tenant_svc.tenants.edits import SETTABLE, TenantEdit, value_of
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = ["Sorted", "sorted_by"]

_FIELDS = {field.name: field.json_name for field in CreateTenantRequest.DESCRIPTOR.fields}
"""The name of a field → as lines spell it."""


@dataclass(slots=True)
class Sorted:
    """Lines of an import by what is to be done about them.

    edits: by tenant, the line that changes it, and the change.
    updated, unchanged: the numbers of lines whose tenants are changed already, or need no change.
    """

    new: list[TenantLine] = field(default_factory=list)
    edits: dict[TenantId, tuple[TenantLine, TenantEdit]] = field(default_factory=dict)
    updated: int = 0
    unchanged: int = 0
    rejected: list[RejectedLine] = field(default_factory=list)

    def reject(self, line: TenantLine, reason: str) -> None:
        """Leave the line out."""
        self.rejected.append(RejectedLine(line.number, reason))


def sorted_by(existing: Mapping[str, Tenant], lines: Sequence[ImportLine], *, updates: bool) -> Sorted:
    """Sort the lines. `existing` are the tenants by external id; without `updates` none of them is changed."""
    found = Sorted()
    for line in lines:
        if isinstance(line, RejectedLine):
            found.rejected.append(line)
        elif (tenant := existing.get(line.new.profile.external_id)) is None:
            found.new.append(line)
        else:
            _compare(found, line, tenant, updates=updates)
    return found


def _compare(found: Sorted, line: TenantLine, tenant: Tenant, *, updates: bool) -> None:
    """Note what is to be done about a line whose tenant exists."""
    fields = line.fields & SETTABLE
    edit = TenantEdit(line.new.slug, line.new.display_name, line.new.profile, fields, whole=False)
    problem = _problem(line, tenant)
    if problem is not None:
        found.reject(line, problem)
        return
    try:
        edited = edit.applied_to(tenant)
    except MeshError as error:
        found.reject(line, reason_of(error))
        return
    if edited == tenant:
        found.unchanged += 1
    elif updates:
        found.edits[tenant.id] = (line, edit)
    else:
        differing = ", ".join(
            sorted(_FIELDS[each] for each in fields if value_of(edited, each) != value_of(tenant, each))
        )
        found.reject(line, f"the tenant exists with other values of {differing}")


def _problem(line: TenantLine, tenant: Tenant) -> str | None:
    if tenant.state is TenantState.DELETED:
        return "externalId: is that of a deleted tenant. Undelete it, or import the line after it is purged"
    if line.new.plan_id and line.new.plan_id != tenant.plan_id:
        return f"planId: the tenant is on {tenant.plan_id}. Move it with MigrateTenantPlan"
    if "parent_id" in line.fields and line.new.profile.parent_id != tenant.profile.parent_id:
        return "parentId: is immutable: it is set when the tenant is created"
    return None
