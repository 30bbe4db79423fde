"""Where the consumers of the event logs of this service are: their positions, over all tenants."""

from __future__ import annotations

from tenantmesh.chassis.event_log.follower import FollowerPositions, followers_table
from tenantmesh.tenant_svc.schema import DIRECTORY_ROLE, metadata

__all__ = ["FOLLOWERS", "followers"]

followers = followers_table(metadata, DIRECTORY_ROLE)
FOLLOWERS = FollowerPositions(followers)
"""The SQL of these positions. All of it goes through the system door."""
