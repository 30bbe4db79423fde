"""EntitlementService over gRPC: message in, use case, message out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Protocol, Self, TypeVar

from tenantmesh.chassis.event_log.streaming import start_of, streamed
from tenantmesh.chassis.event_log.watch import Watch
from tenantmesh.interceptors import CallerKind, current_call
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument
from tenantmesh.interceptors.tenants import parse_tenant_id
from tenantmesh.tenant.v1 import entitlement_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2 as pb
from tenantmesh.tenant.v1.entitlement_service_pb2_grpc import EntitlementServiceServicer
from tenantmesh.tenant_svc.entitlements import mapping
from tenantmesh.tenant_svc.entitlements.entitlements import Entitlements
from tenantmesh.tenant_svc.grants.grants import Grants, grant_not_found
from tenantmesh.tenant_svc.history.event import EntitlementEvent
from tenantmesh.tenant_svc.history.history import History
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.tenants.tenant import RequestKey

__all__ = ["EntitlementServicer"]

_Context = Any  # handlers take what the call needs from current_call()
_MOST_CHECKS = 1000


class _Told(Protocol):
    """What holds operators' reasons, which are notes among themselves, and their credentials."""

    def for_users(self) -> Self: ...


_T = TypeVar("_T", bound=_Told)


class EntitlementServicer(EntitlementServiceServicer):
    """The chain has established who calls and for which tenant before any of these runs."""

    def __init__(
        self,
        entitlements: Entitlements,
        overrides: Overrides,
        grants: Grants,
        history: History,
        watch: Watch[EntitlementEvent],
    ) -> None:
        self._entitlements = entitlements
        self._overrides = overrides
        self._grants = grants
        self._history = history
        self._watch = watch

    async def GetEntitlements(
        self, request: pb.GetEntitlementsRequest, _context: _Context
    ) -> entitlement_pb2.Entitlements:
        """Returns all that the tenant is entitled to."""
        tenant_id = current_call().tenant_id
        if request.view == pb.ENTITLEMENT_VIEW_BASIC:
            return mapping.entitlements_message(await self._entitlements.get(tenant_id), with_usage=False)
        return mapping.entitlements_message(await self._entitlements.standing(tenant_id), with_usage=True)

    async def CheckEntitlement(self, request: pb.CheckEntitlementRequest, _context: _Context) -> pb.Decision:
        """Says whether the tenant may use a feature."""
        _, decision = await self._entitlements.check(current_call().tenant_id, mapping.check_of(request))
        return mapping.decision_message(decision)

    async def BatchCheckEntitlements(
        self, request: pb.BatchCheckEntitlementsRequest, _context: _Context
    ) -> pb.BatchCheckEntitlementsResponse:
        """Answers each check by itself."""
        if not 1 <= len(request.checks) <= _MOST_CHECKS:
            raise InvalidArgument.fields([FieldViolation("checks", f"must be 1 to {_MOST_CHECKS} checks")])
        answers = await self._entitlements.check_many([mapping.check_of(each) for each in request.checks])
        return pb.BatchCheckEntitlementsResponse(results=[mapping.result_message(each) for each in answers])

    async def ExplainEntitlement(
        self, request: pb.ExplainEntitlementRequest, _context: _Context
    ) -> pb.ExplainEntitlementResponse:
        """Says why the tenant may or may not use a feature."""
        call = current_call()
        found = await self._entitlements.explain(call.tenant_id, request.feature, every_plan=_reads_every_plan())
        return mapping.explanation_message(_as_told(found))

    async def ListOverrides(self, _request: pb.ListOverridesRequest, _context: _Context) -> pb.ListOverridesResponse:
        """Returns the tenant's overrides."""
        overrides = await self._overrides.all_of(current_call().tenant_id)
        return pb.ListOverridesResponse(overrides=[mapping.override_message(each) for each in overrides])

    async def SetOverride(self, request: pb.SetOverrideRequest, _context: _Context) -> entitlement_pb2.Override:
        """Replaces what the plan says about a feature."""
        call = current_call()
        draft = mapping.override_draft(request)
        return mapping.override_message(await self._overrides.set(call.tenant_id, draft, call.caller.credential_id))

    async def ClearOverride(self, request: pb.ClearOverrideRequest, _context: _Context) -> pb.ClearOverrideResponse:
        """Lets the plan decide again."""
        call = current_call()
        await self._overrides.clear(call.tenant_id, request.feature, request.reason, call.caller.credential_id)
        return pb.ClearOverrideResponse()

    async def CreateGrant(self, request: pb.CreateGrantRequest, _context: _Context) -> entitlement_pb2.Grant:
        """Adds to an allowance, once per request id."""
        call = current_call()
        actor = call.caller.credential_id
        key = RequestKey.checked(actor, request.request_id)
        draft = mapping.grant_draft(request.grant)
        return mapping.grant_message(await self._grants.create(call.tenant_id, draft, key, actor))

    async def ListGrants(self, request: pb.ListGrantsRequest, _context: _Context) -> pb.ListGrantsResponse:
        """Returns the tenant's grants."""
        grants = await self._grants.all_of(current_call().tenant_id, request.feature)
        return pb.ListGrantsResponse(grants=[mapping.grant_message(_as_told(each)) for each in grants])

    async def VoidGrant(self, request: pb.VoidGrantRequest, _context: _Context) -> entitlement_pb2.Grant:
        """Ends a grant now."""
        call = current_call()
        grant_id = parse_tenant_id(request.grant_id)  # the same canonical, non-nil form
        if grant_id is None:
            raise grant_not_found()
        voided = await self._grants.void(call.tenant_id, grant_id, request.reason, call.caller.credential_id)
        return mapping.grant_message(voided)

    async def ListEntitlementChanges(
        self, request: pb.ListEntitlementChangesRequest, _context: _Context
    ) -> pb.ListEntitlementChangesResponse:
        """Returns a page of the history."""
        page = await self._history.page(
            current_call().tenant_id, request.page_size, request.page_token, every_plan=_reads_every_plan()
        )
        return pb.ListEntitlementChangesResponse(
            changes=[mapping.change_message(_as_told(each)) for each in page.changes], next_page_token=page.next_token
        )

    async def WatchEntitlements(
        self, request: pb.WatchEntitlementsRequest, _context: _Context
    ) -> AsyncIterator[pb.WatchEntitlementsResponse]:
        """Streams what happens."""
        changes = self._watch.follow(start_of(request, request.WhichOneof("start")))
        async with aclosing(streamed(changes, mapping.event_message, mapping.error_message)) as messages:
            async for message in messages:
                yield message


def _reads_every_plan() -> bool:
    """Whether the caller may be told of plans that are neither listed nor the tenant's own."""
    return current_call().caller.kind is CallerKind.OPERATOR


def _as_told(found: _T) -> _T:
    """What the caller may read of it."""
    return found.for_users() if current_call().caller.kind is CallerKind.USER else found
