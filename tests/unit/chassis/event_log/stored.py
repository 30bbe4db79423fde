"""An event log in memory that keeps the obligations of EventLog, for tests of what follows one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from tenantmesh.chassis.event_log.log import EventLog, cursor_expired
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.tenant_svc.tenants.events import CURSORS, EventType, TenantEvent
from tenantmesh.tenant_svc.tenants.tenant import Tenant

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def tenant(number: int, *, version: int = 1, state: TenantState = TenantState.ACTIVE) -> Tenant:
    return Tenant(
        id=TenantId(uuid.UUID(int=number)),
        slug=f"tenant-{number}",
        display_name=f"Tenant {number}",
        plan_id="basic",
        plan_version=1,
        state=state,
        create_time=EPOCH,
        update_time=EPOCH + timedelta(seconds=version),
        version=version,
    )


async def until(condition: Callable[[], bool]) -> None:
    """Returns once it holds; fails after five seconds."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never became true")


class MemoryEvents(EventLog[TenantEvent]):
    """`append` is a commit; `down` makes every read fail; `reads` counts pages of events."""

    name = "memory"
    cursors = CURSORS

    def __init__(self) -> None:
        self.log: list[TenantEvent] = []
        self.pruned_through = 0
        self.down = False
        self.reads = 0

    def append(self, number: int, type_: EventType = EventType.CREATED) -> TenantEvent:
        version = 1 + sum(each.tenant.id.int == number for each in self.log)
        state = TenantState.SUSPENDED if type_ is EventType.SUSPENDED else TenantState.ACTIVE
        position = self.log[-1].position + 2 if self.log else self.pruned_through + 1  # gaps, as rollbacks leave them
        event = TenantEvent(position, type_, tenant(number, version=version, state=state))
        self.log.append(event)
        return event

    def prune(self, through: int) -> None:
        self.pruned_through = through
        self.log = [event for event in self.log if event.position > through]

    async def head(self) -> int:
        self._answer()
        return self.log[-1].position if self.log else self.pruned_through

    async def horizon(self) -> int:
        self._answer()
        return self.pruned_through

    async def after(self, position: int, limit: int) -> Sequence[TenantEvent]:
        self._answer()
        self.reads += 1
        if self.pruned_through > position:
            raise cursor_expired()
        return [event for event in self.log if event.position > position][:limit]

    async def snapshot(self, position: int, after: uuid.UUID, limit: int) -> Sequence[TenantEvent]:
        self._answer()
        latest = {event.tenant.id: event for event in self.log}
        rows = [each.tenant for each in latest.values() if each.position <= position and each.tenant.id > after]
        page = sorted(rows, key=lambda each: each.id)[:limit]
        return [TenantEvent(position, EventType.SNAPSHOT, each) for each in page]

    def lost(self) -> Unavailable:
        return Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "lost")

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "down")
