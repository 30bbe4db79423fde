"""A service with a wrong key in the real mesh: it learns that the key is wrong, and people are still known to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import jwt
import pytest

from tenantmesh.auth_svc.api_keys.bootstrap import create_key
from tenantmesh.deploy.stack import keys
from tenantmesh.interceptors import mesh as library
from tenantmesh.interceptors.backends.grpc import answers
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.limits import StoreAway
from tenantmesh.interceptors.quotas import Ask
from tenantmesh.interceptors.tenants import parse_tenant_id
from tests.fixtures.mesh import Mesh, World


@pytest.fixture
async def connected(mesh: Mesh, request: pytest.FixtureRequest) -> AsyncIterator[library.Mesh]:
    """The mesh as a service sees it whose key has the permissions of the test's parameter, or is unknown."""
    key = "tmk_nonsense"
    if request.param is not None:
        key = await create_key(keys.settings(mesh.stack.engines.postgres), "weak", "SERVICE", request.param)
    opened = library.Mesh(tenant_target=mesh.tenant_target, auth_target=mesh.auth_target, credential=key)
    yield opened
    await opened.close()


@pytest.mark.parametrize("connected", [None], indirect=True)
async def test_an_unknown_key_is_told_as_one_and_tokens_are_verified_all_the_same(
    connected: library.Mesh, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    acme = await world.tenant("acme")
    with pytest.raises(Unavailable) as tenants:
        await connected.tenant_source.by_name(acme.slug)
    with pytest.raises(Unavailable) as callers:
        await connected.api_keys.verify(world.mesh.operator_key)
    assert [caught.value.reason for caught in (tenants, callers)] == ["MESH_KEY_REFUSED"] * 2
    assert "The API key is unknown, expired or revoked." in caplog.text
    ada = await world.user(acme)
    signed_by = jwt.get_unverified_header(ada.token)["kid"]
    await connected.key_set.refresh(signed_by)
    assert connected.key_set.get(signed_by) is not None


@pytest.mark.parametrize("connected", [("tenants.resolve",)], indirect=True)
async def test_a_weak_key_is_told_by_the_permission_that_it_lacks(
    connected: library.Mesh, world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "_logged", {})
    acme = await world.tenant("acme")
    assert await connected.tenant_source.by_name(acme.slug)
    tenant_id = parse_tenant_id(acme.id)
    assert tenant_id is not None
    with pytest.raises(Unavailable) as caught:
        await connected.entitlement_source.find(tenant_id)
    assert caught.value.reason == "MESH_KEY_REFUSED"
    with pytest.raises(StoreAway) as away:
        await connected.quota_ledger.lease(tenant_id, [Ask("api_requests", 1, 1)])
    assert away.value.refusal is not None
    assert away.value.refusal.reason == "MESH_KEY_REFUSED"
    assert await connected.quota_ledger.answers(), "it is there"
    with pytest.raises(Unavailable):
        async for _ in connected.tenant_source.watch(None):
            pass
    for permission in ("entitlements.read", "tenants.watch", "quota.lease"):
        assert f"lacks the permission {permission}" in caplog.text
