"""A service whose own key is refused by the mesh: no outage, and in its log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tenantmesh.auth_svc.gauges.gauge import GaugeLevel
from tenantmesh.auth_svc.gauges.reports import GrpcGaugeReports
from tenantmesh.interceptors import mesh as library
from tenantmesh.interceptors.backends.grpc import answers
from tenantmesh.interceptors.backends.grpc.credentials import GrpcApiKeyVerifier
from tenantmesh.interceptors.backends.grpc.entitlements import GrpcEntitlementSource
from tenantmesh.interceptors.backends.grpc.quota_ledger import GrpcQuotaLedger
from tenantmesh.interceptors.backends.grpc.tenants import GrpcTenantSource
from tenantmesh.interceptors.directories.tenants import TenantDirectory
from tenantmesh.interceptors.errors import MeshError, Unavailable
from tenantmesh.interceptors.limits import StoreAway
from tenantmesh.interceptors.mesh import Mesh
from tenantmesh.interceptors.quotas import Ask
from tests.unit.interceptors.plan_calls import ACME

UNKNOWN = (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID", "The API key is unknown.")
WEAK = (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", "The credential lacks the permission tenants.watch.")
OTHER_METER = (grpc.StatusCode.PERMISSION_DENIED, "METER_NOT_ALLOWED", "The key of x does not name the meter reads.")
OTHER_GAUGE = (grpc.StatusCode.PERMISSION_DENIED, "GAUGE_NOT_ALLOWED", "The key of x does not name the gauge users.")
OWNED = (grpc.StatusCode.PERMISSION_DENIED, "GAUGE_OWNED", "The service y sets the level of users.")
OTHER_KIND = (grpc.StatusCode.PERMISSION_DENIED, "AUDIENCE_NOT_ALLOWED", "Not for operators.")
AWAY = (grpc.StatusCode.UNAVAILABLE, "", "connection refused")
Refusal = tuple[grpc.StatusCode, str, str]


class Refusing:
    """A stub of any service whose methods all fail alike."""

    def __init__(self, refusal: Refusal) -> None:
        code, reason, message = refusal
        status = status_pb2.Status()
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason))
        details = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
        self.error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), details, message)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return self.stream if method.startswith("Watch") else self.once

    async def once(self, *_: Any, **__: Any) -> None:
        raise self.error

    async def stream(self, *_: Any, **__: Any) -> AsyncIterator[None]:
        raise self.error
        yield


@pytest.fixture(autouse=True)
def nothing_logged_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_logged", {})


async def find_tenant(refusal: Refusal) -> None:
    await GrpcTenantSource(lambda: Refusing(refusal)).by_name("acme")


async def watch_tenants(refusal: Refusal) -> None:
    async for _ in GrpcTenantSource(lambda: Refusing(refusal)).watch(None):
        pass


async def find_entitlements(refusal: Refusal) -> None:
    await GrpcEntitlementSource(lambda: Refusing(refusal)).find(ACME.id)


async def watch_entitlements(refusal: Refusal) -> None:
    async for _ in GrpcEntitlementSource(lambda: Refusing(refusal)).watch(None):
        pass


async def verify_key(refusal: Refusal) -> None:
    await GrpcApiKeyVerifier(lambda: Refusing(refusal)).verify("tmk_x")


async def through_the_directory(refusal: Refusal) -> None:
    await TenantDirectory(GrpcTenantSource(lambda: Refusing(refusal))).find(ACME.id)


async def report_level(refusal: Refusal) -> None:
    reports = GrpcGaugeReports(grpc.aio.insecure_channel("127.0.0.1:1"))
    reports._stub = Refusing(refusal)
    try:
        await reports.send(GaugeLevel(ACME.id, "users", 3, 1))
    finally:
        await reports.close()


QUESTIONS = [
    find_tenant,
    watch_tenants,
    find_entitlements,
    watch_entitlements,
    verify_key,
    through_the_directory,
    report_level,
]


@pytest.mark.parametrize("ask", QUESTIONS)
@pytest.mark.parametrize(
    "refusal", [UNKNOWN, WEAK, OTHER_KIND, OTHER_METER, OTHER_GAUGE, OWNED], ids=lambda refusal: refusal[1]
)
async def test_a_refused_key_is_told_as_one_and_logged_once(
    ask: Callable[[Refusal], Any], refusal: Refusal, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        with pytest.raises(MeshError) as caught:
            await ask(refusal)
        assert type(caught.value) is Unavailable
        assert caught.value.reason == "MESH_KEY_REFUSED"
        assert "Retry with backoff" not in caught.value.message
        assert caught.value.metadata["service"] in {"tenant_svc", "auth_svc"}
    (logged,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert refusal[1] in logged
    assert refusal[2] in logged
    assert "TENANTMESH_MESH_CREDENTIAL" in logged


@pytest.mark.parametrize("ask", QUESTIONS)
async def test_an_outage_stays_one(ask: Callable[[Refusal], Any], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Unavailable) as caught:
        await ask(AWAY)
    assert caught.value.reason.endswith(("_UNAVAILABLE", "_UNVERIFIABLE"))
    assert not [record for record in caplog.records if record.levelno == logging.ERROR]


@pytest.mark.parametrize("refusal", [UNKNOWN, WEAK, OTHER_KIND], ids=lambda refusal: refusal[1])
async def test_a_key_that_may_not_lease_is_an_outage_with_its_cause(
    refusal: Refusal, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = GrpcQuotaLedger(lambda: Refusing(refusal), lambda: Refusing(refusal))
    with pytest.raises(StoreAway) as caught:
        await ledger.lease(ACME.id, [Ask("reads", 1, 1)])
    assert caught.value.refusal is not None
    assert caught.value.refusal.reason == "MESH_KEY_REFUSED"
    assert refusal[2] in caplog.text


async def test_a_key_that_does_not_name_a_meter_is_refused_for_that_meter_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = GrpcQuotaLedger(lambda: Refusing(OTHER_METER), lambda: Refusing(OTHER_METER))
    for question in (
        ledger.lease(ACME.id, [Ask("reads", 1, 1)]),
        ledger.give_back(ACME.id, "reads", 1, datetime.now(UTC)),
    ):
        with pytest.raises(Unavailable) as caught:
            await question
        assert caught.value.reason == "MESH_KEY_REFUSED"
    (logged,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert OTHER_METER[2] in logged


@pytest.mark.parametrize("credential", ["", " "])
def test_a_mesh_without_a_key_is_refused_at_once(credential: str) -> None:
    with pytest.raises(ValueError, match="tenantmesh operator create"):
        Mesh(tenant_target="127.0.0.1:1", auth_target="127.0.0.1:1", credential=credential)


async def test_the_key_is_checked_until_auth_svc_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(library, "CHECK_PAUSE", 0.0)
    answers_of_auth = iter([AWAY, AWAY, UNKNOWN])
    mesh = Mesh(tenant_target="127.0.0.1:1", auth_target="127.0.0.1:1", credential="tmk_x")
    mesh.api_keys = GrpcApiKeyVerifier(lambda: Refusing(next(answers_of_auth)))
    async with asyncio.timeout(5):
        await mesh.check_key()
    assert next(answers_of_auth, None) is None
    assert "auth_svc refuses this service's own key: CREDENTIALS_INVALID" in caplog.text
