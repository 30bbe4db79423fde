"""The host of a call as a source of its tenant: a login host of a tenant, or a host of the installation."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tenantmesh.interceptors import CallerKind
from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.errors import InvalidArgument, MeshError, NotFound, PermissionDenied, Unavailable
from tenantmesh.interceptors.links.tenancy import Tenancy
from tenantmesh.interceptors.lookup import MISS
from tenantmesh.interceptors.passage import Passage
from tenantmesh.interceptors.policy import MethodPolicy, TenantScope
from tenantmesh.interceptors.tenants import TenantId, TenantKey, TenantRecord, TenantState
from tests.unit.interceptors.calls import call
from tests.unit.interceptors.plan_calls import bound_to

ACME = TenantRecord(
    TenantId(uuid.UUID(int=1, version=4)), "acme", TenantState.ACTIVE, "basic", frozenset({"app.acme.com"})
)
GLOBEX = TenantRecord(
    TenantId(uuid.UUID(int=2, version=4)), "globex", TenantState.ACTIVE, "basic", frozenset({"app.globex.com"})
)
POLICY = MethodPolicy("/x.Y/Z", frozenset(CallerKind), tenant_scope=TenantScope.REQUIRED)
ADA = Caller(CallerKind.USER, "ada", tenant_id=ACME.id)
STRANGER, OPERATOR = Caller(CallerKind.ANONYMOUS, ""), Caller(CallerKind.OPERATOR, "olga")


class Directory:
    """A directory that knows both tenants. A name is a miss until it was looked up; while `away`, nothing can be."""

    live = True

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.asked: list[TenantKey] = []

    def peek(self, key: TenantKey) -> Any:
        if isinstance(key, str) and "." in key and key not in self.asked:
            return MISS
        return next((each for each in (ACME, GLOBEX) if each.is_called(key)), None)

    async def find(self, key: TenantKey) -> TenantRecord | None:
        if self.away:
            raise Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "Retry.")
        self.asked.append(key)
        found: TenantRecord | None = self.peek(key)
        return found

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass


async def passed(caller: Caller, *headers: tuple[str, str], directory: Directory | None = None) -> Passage:
    """The call once the link has seen its headers."""
    made = call(*headers, policy=POLICY)
    made.caller = caller
    moments = bound_to(Tenancy(directory or Directory(), "mesh.test"), POLICY)
    assert moments.enter is not None
    waiting = moments.enter(made)
    if waiting is not None:
        await waiting
    return made


def at(host: str) -> tuple[str, str]:
    return "x-forwarded-host", host


@pytest.mark.parametrize("host", ["app.acme.com", "APP.acme.COM", "app.acme.com.", "app.acme.com:8443"])
@pytest.mark.parametrize("caller", [ADA, STRANGER, OPERATOR], ids=["bound", "stranger", "operator"])
async def test_a_login_host_names_its_tenant(caller: Caller, host: str) -> None:
    assert (await passed(caller, at(host))).tenant == ACME


async def test_a_credential_at_the_host_of_another_tenant_is_refused() -> None:
    with pytest.raises(PermissionDenied) as refused:
        await passed(ADA, at("app.globex.com"))
    assert refused.value.reason == "TENANT_MISMATCH"


@pytest.mark.parametrize("host", ["edge.elsewhere.test", "127.0.0.1:8080", "[::1]", "localhost", "mesh.test"])
async def test_a_host_of_no_tenant_names_none(host: str) -> None:
    assert (await passed(ADA, at(host))).tenant == ACME
    with pytest.raises(InvalidArgument) as refused:
        await passed(STRANGER, at(host))
    assert refused.value.reason == "TENANT_REQUIRED"
    assert (await passed(STRANGER, at(host), ("x-tenant-slug", "globex"))).tenant == GLOBEX


async def test_a_login_host_and_another_source_must_agree() -> None:
    assert (await passed(STRANGER, at("app.acme.com"), ("x-tenant-slug", "acme"))).tenant == ACME
    with pytest.raises(InvalidArgument) as refused:
        await passed(STRANGER, at("app.acme.com"), ("x-tenant-slug", "globex"))
    assert refused.value.reason == "TENANT_CONFLICT"


async def test_a_subdomain_of_nobody_still_names_a_missing_tenant() -> None:
    with pytest.raises(NotFound):
        await passed(STRANGER, at("nobody.mesh.test"))


async def test_own_hosts_cost_no_look_up_and_others_one() -> None:
    directory = Directory()
    await passed(ADA, at("app.acme.com"), directory=directory)
    assert not directory.asked[1:]
    for _ in range(3):
        await passed(ADA, at("edge.elsewhere.test"), directory=directory)
    assert directory.asked.count("edge.elsewhere.test") == 1


@pytest.mark.parametrize("host", ["edge.elsewhere.test", "app.globex.com"])
async def test_while_nobody_knows_the_host_a_credential_decides_and_a_stranger_waits(host: str) -> None:
    directory = Directory()
    await directory.find(ACME.id)
    directory.away = True
    assert (await passed(ADA, at(host), directory=_with_bound(directory))).tenant == ACME
    with pytest.raises(MeshError) as refused:
        await passed(STRANGER, at(host), directory=directory)
    assert refused.value.reason == "TENANT_DIRECTORY_UNAVAILABLE"


def _with_bound(directory: Directory) -> Directory:
    """The directory, which finds the caller's own tenant from its memory as the real one does."""

    class Remembering(Directory):
        async def find(self, key: TenantKey) -> TenantRecord | None:
            return ACME if key == ACME.id else await super().find(key)

    made = Remembering(away=directory.away)
    made.asked = directory.asked
    return made
