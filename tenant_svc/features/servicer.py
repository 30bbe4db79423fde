"""The methods of PlanService that are about features: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import plan_service_pb2 as pb
from tenantmesh.tenant.v1.plan_pb2 import Feature as FeatureMessage
from tenantmesh.tenant_svc.features.features import Features
from tenantmesh.tenant_svc.features.mapping import feature_change, feature_draft, feature_message

__all__ = ["FeatureServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class FeatureServicer:
    """The methods of PlanService about features. The chain has established the caller before any of these runs."""

    def __init__(self, features: Features) -> None:
        self._features = features

    async def CreateFeature(self, request: pb.CreateFeatureRequest, _context: _Context) -> FeatureMessage:
        """Add a feature to the catalog."""
        return feature_message(await self._features.create(feature_draft(request.feature), _actor()))

    async def GetFeature(self, request: pb.GetFeatureRequest, _context: _Context) -> FeatureMessage:
        """Return a feature."""
        return feature_message(await self._features.get(request.id))

    async def ListFeatures(self, request: pb.ListFeaturesRequest, _context: _Context) -> pb.ListFeaturesResponse:
        """Return a page of features."""
        page = await self._features.page(request.page_size, request.page_token)
        features, next_token = page.as_messages(feature_message)
        return pb.ListFeaturesResponse(features=features, next_page_token=next_token)

    async def UpdateFeature(self, request: pb.UpdateFeatureRequest, _context: _Context) -> FeatureMessage:
        """Change a feature, for every tenant at once."""
        return feature_message(await self._features.change(request.id, feature_change(request), _actor()))


def _actor() -> str:
    return current_call().caller.credential_id
