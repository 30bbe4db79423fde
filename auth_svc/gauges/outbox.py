"""The outbox of gauge levels: the levels that tenant_svc does not know yet. `chassis.outbox.Relay` reports them."""

from __future__ import annotations

from collections.abc import Sequence

from tenantmesh.auth_svc.gauges import repository
from tenantmesh.auth_svc.gauges.gauge import GaugeLevel
from tenantmesh.chassis.doors import Doors

__all__ = ["GaugeOutbox"]


class GaugeOutbox:
    """As Outbox. The version of a level makes a repeated report harmless."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def pending(self, after: GaugeLevel | None, count: int) -> Sequence[GaugeLevel]:
        """Return up to `count` unreported levels, ordered by tenant and gauge, beginning behind `after`."""
        async with self._doors.system("levels of any tenant may be unreported", read_only=True) as connection:
            return await repository.unreported(connection, after, count)

    async def mark_sent(self, row: GaugeLevel) -> None:
        """Mark this version of the level as reported."""
        async with self._doors.tenant(row.tenant_id) as connection:
            await repository.mark_reported(connection, row)
