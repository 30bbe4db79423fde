"""Methods whose request may name the tenant: what an empty field means under each tenant_scope."""

from __future__ import annotations

import uuid
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tenantmesh.interceptors import CallerKind
from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.errors import InvalidArgument, MeshError, NotFound
from tenantmesh.interceptors.links.tenancy import Tenancy
from tenantmesh.interceptors.passage import Passage
from tenantmesh.interceptors.policy import MethodPolicy, TenantScope
from tenantmesh.interceptors.tenants import TenantId, TenantKey, TenantRecord, TenantState
from tests.unit.interceptors.calls import call
from tests.unit.interceptors.plan_calls import bound_to

# Fixed ids: they are in the names of tests, which every process of a run must find alike.
ACME, GLOBEX = (
    TenantRecord(TenantId(uuid.UUID(int=number, version=4)), slug, TenantState.ACTIVE, "basic")
    for number, slug in enumerate(("acme", "globex"), 1)
)
OPTIONAL = MethodPolicy("/x.Y/Z", frozenset(CallerKind), tenant_scope=TenantScope.OPTIONAL, tenant_field="id")
REQUIRED = replace(OPTIONAL, tenant_scope=TenantScope.REQUIRED)
OPERATOR = Caller(CallerKind.OPERATOR, "ada")
USER = Caller(CallerKind.USER, "grace", tenant_id=ACME.id)


class Directory:
    """A directory that knows both tenants."""

    live = True

    def peek(self, key: TenantKey) -> Any:
        return next((each for each in (ACME, GLOBEX) if key in (each.id, each.slug)), None)

    async def find(self, key: TenantKey) -> TenantRecord | None:
        found: TenantRecord | None = self.peek(key)
        return found

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass


def passed(policy: MethodPolicy, caller: Caller, field: str, *headers: tuple[str, str]) -> Passage:
    """The call once the link has seen its headers and its request."""
    made = call(*headers, policy=policy)
    made.caller = caller
    moments = bound_to(Tenancy(Directory(), ""), policy)
    assert moments.enter is not None
    assert moments.receive is not None
    moments.enter(made)
    moments.receive(made, SimpleNamespace(id=field))
    return made


@pytest.mark.parametrize(
    ("caller", "field", "headers", "tenant"),
    [
        (OPERATOR, "", (), None),
        (OPERATOR, "acme", (), ACME),
        (OPERATOR, str(ACME.id), (), ACME),
        (OPERATOR, "", (("x-tenant-slug", "globex"),), GLOBEX),
        (OPERATOR, "acme", (("x-tenant-id", str(ACME.id)),), ACME),
        (USER, "", (), ACME),
        (USER, "acme", (), ACME),
    ],
)
def test_an_empty_field_leaves_the_choice_to_the_other_sources(
    caller: Caller, field: str, headers: tuple[tuple[str, str], ...], tenant: TenantRecord | None
) -> None:
    assert passed(OPTIONAL, caller, field, *headers).tenant == tenant


@pytest.mark.parametrize(
    ("caller", "field", "headers", "reason"),
    [
        (USER, "globex", (), "TENANT_NOT_FOUND"),
        (USER, "", (("x-tenant-slug", "globex"),), "TENANT_MISMATCH"),
        (OPERATOR, "acme", (("x-tenant-slug", "globex"),), "TENANT_CONFLICT"),
        (OPERATOR, "nobody", (), "TENANT_NOT_FOUND"),
        (OPERATOR, "", (("x-tenant-slug", "nobody"),), "TENANT_NOT_FOUND"),
    ],
)
def test_and_nobody_reaches_another_tenant_by_it(
    caller: Caller, field: str, headers: tuple[tuple[str, str], ...], reason: str
) -> None:
    with pytest.raises(MeshError) as caught:
        passed(OPTIONAL, caller, field, *headers)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("caller", "refusal"), [(OPERATOR, InvalidArgument), (USER, InvalidArgument)])
def test_a_method_that_requires_a_tenant_refuses_an_empty_field(caller: Caller, refusal: type[MeshError]) -> None:
    with pytest.raises(refusal, match="id"):
        passed(REQUIRED, caller, "")
    with pytest.raises(NotFound):
        passed(REQUIRED, caller, "no such name")
