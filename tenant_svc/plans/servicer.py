"""The methods of PlanService that are about plans: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from tenantmesh.chassis.requests import refuse
from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import plan_service_pb2 as pb
from tenantmesh.tenant.v1.plan_pb2 import Plan as PlanMessage
from tenantmesh.tenant_svc.plans.mapping import (
    difference_message,
    plan_draft,
    plan_message,
)
from tenantmesh.tenant_svc.plans.plans import Plans, VersionRef

__all__ = ["PlanServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class PlanServicer:
    """The methods of PlanService about plans. The chain has established the caller before any of these runs."""

    def __init__(self, plans: Plans) -> None:
        self._plans = plans

    async def CreatePlan(self, request: pb.CreatePlanRequest, _context: _Context) -> PlanMessage:
        """Draft version 1 of a new plan."""
        return plan_message(await self._plans.create(plan_draft(request.plan, request.plan.id)))

    async def GetPlan(self, request: pb.GetPlanRequest, _context: _Context) -> PlanMessage:
        """Return a version of a plan."""
        return plan_message(await self._plans.get(VersionRef(request.id, request.version)))

    async def ListPlans(self, request: pb.ListPlansRequest, _context: _Context) -> pb.ListPlansResponse:
        """Return a page of versions."""
        page = await self._plans.page(
            request.page_size, request.page_token, all_versions=request.all_versions, plan_id=request.plan_id
        )
        plans, next_token = page.as_messages(plan_message)
        return pb.ListPlansResponse(plans=plans, next_page_token=next_token)

    async def UpdatePlan(self, request: pb.UpdatePlanRequest, _context: _Context) -> PlanMessage:
        """Replace a plan's draft, or draft the next version."""
        fits = not request.id or request.plan.id in {"", request.id}
        refuse({"plan.id": None if fits else "must be the plan's id, or empty"})
        return plan_message(await self._plans.update(plan_draft(request.plan, request.id), request.plan.etag))

    async def SetPlanListed(self, request: pb.SetPlanListedRequest, _context: _Context) -> PlanMessage:
        """Set whether tenants on other plans may see the plan."""
        listed = request.listed if request.HasField("listed") else None
        return plan_message(await self._plans.set_listed(request.id, listed, _actor()))

    async def PublishPlan(self, request: pb.PublishPlanRequest, _context: _Context) -> PlanMessage:
        """Publish the draft, so that new tenants get it."""
        ref = VersionRef(request.id, request.version)
        return plan_message(await self._plans.publish(ref, _actor(), request.etag))

    async def ArchivePlan(self, request: pb.ArchivePlanRequest, _context: _Context) -> PlanMessage:
        """Close a version for new tenants."""
        return plan_message(await self._plans.archive(VersionRef(request.id, request.version), _actor()))

    async def SetDefaultPlan(self, request: pb.SetDefaultPlanRequest, _context: _Context) -> PlanMessage:
        """Make a plan the one that new tenants get."""
        return plan_message(await self._plans.set_default(request.id, _actor()))

    async def GetDefaultPlan(self, _request: pb.GetDefaultPlanRequest, _context: _Context) -> PlanMessage:
        """Return the plan that new tenants get."""
        return plan_message(await self._plans.default())

    async def DiffPlanVersions(
        self, request: pb.DiffPlanVersionsRequest, _context: _Context
    ) -> pb.DiffPlanVersionsResponse:
        """Return the changes for a tenant from one version to another."""
        start, end = (
            VersionRef(request.id, request.version),
            VersionRef(request.to_plan_id, request.to_version),
        )
        return difference_message(await self._plans.difference(start, end))


def _actor() -> str:
    return current_call().caller.credential_id
