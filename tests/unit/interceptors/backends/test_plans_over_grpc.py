"""Entitlements and the ledger over gRPC: how answers of tenant_svc are read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tenantmesh.interceptors.backends.grpc.entitlements import read_entitlements
from tenantmesh.interceptors.backends.grpc.quota_ledger import GrpcQuotaLedger
from tenantmesh.interceptors.entitlements import Feature, FeatureType
from tenantmesh.interceptors.errors import FailedPrecondition, Internal, NotFound, PermissionDenied
from tenantmesh.interceptors.limits import StoreAway, StoreUnavailable
from tenantmesh.interceptors.quotas import Ask
from tenantmesh.tenant.v1 import entitlement_pb2, plan_pb2
from tests.unit.interceptors.plan_calls import ACME


def test_a_feature_of_a_type_from_the_future_is_left_out() -> None:
    found = entitlement_pb2.Entitlements(tenant_id=str(ACME.id), plan_id="basic")
    found.entitlements.add(feature="export", type=plan_pb2.FEATURE_TYPE_BOOLEAN, enabled=True)
    found.entitlements.add(feature="of_tomorrow", type=max(plan_pb2.FeatureType.values()) + 1, enabled=True)
    found.entitlements.add(feature="untyped", enabled=True)
    assert read_entitlements(found).features == {"export": Feature("export", FeatureType.BOOLEAN, enabled=True)}


def rpc_error(code: grpc.StatusCode, reason: str) -> grpc.aio.AioRpcError:
    status = status_pb2.Status()
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason))
    details = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), details if reason else grpc.aio.Metadata(), "what to do")


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (grpc.StatusCode.UNAVAILABLE, "", StoreUnavailable),
        (grpc.StatusCode.UNAVAILABLE, "TENANT_DIRECTORY_UNAVAILABLE", StoreUnavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", StoreUnavailable),
        (grpc.StatusCode.CANCELLED, "", StoreUnavailable),
        (grpc.StatusCode.UNKNOWN, "", StoreUnavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "DATABASE_BUSY", StoreUnavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_IN_FLIGHT", StoreUnavailable),
        (grpc.StatusCode.NOT_FOUND, "TENANT_NOT_FOUND", NotFound),
        (grpc.StatusCode.NOT_FOUND, "FEATURE_NOT_FOUND", NotFound),
        (grpc.StatusCode.PERMISSION_DENIED, "TENANT_SUSPENDED", PermissionDenied),
        (grpc.StatusCode.FAILED_PRECONDITION, "TENANT_DELETED", FailedPrecondition),
        (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", StoreAway),
        (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID", StoreAway),
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", Internal),
        (grpc.StatusCode.UNIMPLEMENTED, "", Internal),
    ],
)
async def test_only_a_missing_answer_is_silence(code: grpc.StatusCode, reason: str, error: type[Exception]) -> None:
    class Stub:
        async def Lease(self, *_: Any, **__: Any) -> None:
            raise rpc_error(code, reason)

        Return = Lease

    ledger = GrpcQuotaLedger(Stub, Stub)
    for question in (
        ledger.lease(ACME.id, [Ask("reads", 1, 1)]),
        ledger.give_back(ACME.id, "reads", 1, datetime.now(UTC)),
    ):
        with pytest.raises(error) as caught:
            await question
        assert type(caught.value) is error, "a code alone does not show that the ledger answers nobody"
        if isinstance(caught.value, NotFound | PermissionDenied | FailedPrecondition):
            assert (caught.value.reason, caught.value.message) == (reason, "what to do")
