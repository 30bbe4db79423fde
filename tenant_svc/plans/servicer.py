"""PlanService over gRPC: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import plan_service_pb2 as pb
from tenantmesh.tenant.v1.plan_pb2 import Feature as FeatureMessage
from tenantmesh.tenant.v1.plan_pb2 import Plan as PlanMessage
from tenantmesh.tenant.v1.plan_service_pb2_grpc import PlanServiceServicer
from tenantmesh.tenant_svc.features.features import Features
from tenantmesh.tenant_svc.plans.mapping import (
    difference_message,
    feature_change,
    feature_draft,
    feature_message,
    plan_draft,
    plan_message,
)
from tenantmesh.tenant_svc.plans.plans import Plans, Which
from tenantmesh.tenant_svc.plans.rules import refuse

__all__ = ["PlanServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class PlanServicer(PlanServiceServicer):
    """The chain has established who calls before any of these runs."""

    def __init__(self, plans: Plans, features: Features) -> None:
        self._plans = plans
        self._features = features

    async def CreateFeature(self, request: pb.CreateFeatureRequest, _context: _Context) -> FeatureMessage:
        """Adds a feature to the catalog."""
        return feature_message(await self._features.create(feature_draft(request.feature), _actor()))

    async def GetFeature(self, request: pb.GetFeatureRequest, _context: _Context) -> FeatureMessage:
        """Returns a feature."""
        return feature_message(await self._features.get(request.id))

    async def ListFeatures(self, request: pb.ListFeaturesRequest, _context: _Context) -> pb.ListFeaturesResponse:
        """Returns a page of features."""
        page = await self._features.page(request.page_size, request.page_token)
        return pb.ListFeaturesResponse(
            features=[feature_message(feature) for feature in page.features], next_page_token=page.next_token
        )

    async def UpdateFeature(self, request: pb.UpdateFeatureRequest, _context: _Context) -> FeatureMessage:
        """Changes a feature, for every tenant at once."""
        return feature_message(await self._features.change(request.id, feature_change(request), _actor()))

    async def CreatePlan(self, request: pb.CreatePlanRequest, _context: _Context) -> PlanMessage:
        """Drafts version 1 of a new plan."""
        return plan_message(await self._plans.create(plan_draft(request.plan, request.plan.id)))

    async def GetPlan(self, request: pb.GetPlanRequest, _context: _Context) -> PlanMessage:
        """Returns a version of a plan."""
        return plan_message(await self._plans.get(Which(request.id, request.version)))

    async def ListPlans(self, request: pb.ListPlansRequest, _context: _Context) -> pb.ListPlansResponse:
        """Returns a page of versions."""
        page = await self._plans.page(
            request.page_size, request.page_token, all_versions=request.all_versions, plan_id=request.plan_id
        )
        return pb.ListPlansResponse(plans=[plan_message(plan) for plan in page.plans], next_page_token=page.next_token)

    async def UpdatePlan(self, request: pb.UpdatePlanRequest, _context: _Context) -> PlanMessage:
        """Replaces a plan's draft, or drafts the next version."""
        fits = not request.id or request.plan.id in {"", request.id}
        refuse({"plan.id": None if fits else "must be the plan's id, or empty"})
        return plan_message(await self._plans.update(plan_draft(request.plan, request.id), request.plan.etag))

    async def SetPlanListed(self, request: pb.SetPlanListedRequest, _context: _Context) -> PlanMessage:
        """Says whether tenants that are not on the plan are told of it."""
        listed = request.listed if request.HasField("listed") else None
        return plan_message(await self._plans.set_listed(request.id, listed, _actor()))

    async def PublishPlan(self, request: pb.PublishPlanRequest, _context: _Context) -> PlanMessage:
        """Makes the draft the version that new tenants get."""
        which = Which(request.id, request.version)
        return plan_message(await self._plans.publish(which, _actor(), request.etag))

    async def ArchivePlan(self, request: pb.ArchivePlanRequest, _context: _Context) -> PlanMessage:
        """Closes a version for new tenants."""
        return plan_message(await self._plans.archive(Which(request.id, request.version), _actor()))

    async def DiffPlanVersions(
        self, request: pb.DiffPlanVersionsRequest, _context: _Context
    ) -> pb.DiffPlanVersionsResponse:
        """Says what changes for a tenant from one version to another."""
        start, end = Which(request.id, request.version), Which(request.to_plan_id, request.to_version)
        return difference_message(await self._plans.difference(start, end))


def _actor() -> str:
    return current_call().caller.credential_id
