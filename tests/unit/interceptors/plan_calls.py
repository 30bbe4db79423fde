"""Calls, policies and entitlements for the tests of the links about plans."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

from tenantmesh.interceptors import CallerKind
from tenantmesh.interceptors.backends.memory.sources import MemoryEntitlementSource
from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.entitlements import EntitlementChange, Entitlements, Feature, FeatureType
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.link import Link
from tenantmesh.interceptors.passage import Passage
from tenantmesh.interceptors.policy import MethodPolicy, TenantScope
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, TenantState

ACME = TenantRecord(TenantId(uuid.uuid4()), "acme", TenantState.ACTIVE, "basic")


USER = Caller(CallerKind.USER, "somebody")


UNLIMITED = Feature("reads", FeatureType.METERED, enabled=True, limit=None)


def policy(**fields: Any) -> MethodPolicy:
    return MethodPolicy("/x.Y/Z", frozenset({CallerKind.USER}), **{"tenant_scope": TenantScope.REQUIRED, **fields})


def call(policy: MethodPolicy, caller: Caller = USER, tenant: TenantRecord | None = ACME) -> Passage:
    made = Passage(policy, ())
    made.caller, made.tenant = caller, tenant
    return made


def bound_to(link: Link, policy: MethodPolicy) -> Any:
    """The moments that a link has for the policy."""
    moments = link.bind(policy)
    assert moments is not None
    return moments


def entitlements(**features: int | bool) -> Entitlements:
    found = {
        name: Feature(name, FeatureType.BOOLEAN, enabled=bool(value), limit=0)
        if isinstance(value, bool)
        else Feature(name, FeatureType.METERED, value > 0, value)
        for name, value in features.items()
    }
    return Entitlements(ACME.id, "basic", 1, 1, found)


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # the condition is the directory's, which has no event
            await asyncio.sleep(0.005)


class Source(MemoryEntitlementSource):
    """A source that can be away, and whose watch does what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.changes: asyncio.Queue[EntitlementChange | Exception] = asyncio.Queue()

    async def find(self, tenant_id: TenantId) -> Entitlements | None:
        found = await super().find(tenant_id)
        if self.down:
            raise Unavailable("ENTITLEMENTS_UNAVAILABLE", "away")
        return found

    async def watch(self, cursor: str | None) -> AsyncIterator[EntitlementChange]:
        while True:
            change = await self.changes.get()
            if isinstance(change, Exception):
                raise change
            yield change
