"""The positions of the followers of this service's event logs, over all tenants."""

from __future__ import annotations

from tenantmesh.chassis.event_log.follower import FollowerPositions, followers_table
from tenantmesh.tenant_svc.schema import DIRECTORY_ROLE, metadata

__all__ = ["FOLLOWERS", "followers"]

followers = followers_table(metadata, DIRECTORY_ROLE)
FOLLOWERS = FollowerPositions(followers)
"""The statements on these positions. Each needs a connection of the system door."""
