"""The branding that anybody is shown before sign-in, by the name of a tenant.

A tenant without a branding, one that is not served, and one that does not exist are shown alike, in bytes and in time.
Caches make some names faster to look up than others, so every answer is held: answers leave at the ticks of a clock,
`answer_time` apart, at the second tick after the question. The rest of the work is over long before. A pause of each
answer's own would not do: timers count in whole milliseconds from when the work was over, which tells when that was.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2s

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import ResourceExhausted, Unavailable
from tenantmesh.interceptors.tasks import SingleFlight
from tenantmesh.interceptors.tenants import TenantKey, TenantLookup, TenantState
from tenantmesh.tenant_svc.branding import repository
from tenantmesh.tenant_svc.branding.branding import INSTALLATION, Branding

__all__ = ["ShownBrandings"]

CAPACITY = 4096
"""Brandings in memory. The ones that were read first go first."""
FRESH_SECONDS = 0.5
"""How long one is shown without being read again: changes must be seen within a second."""


@dataclass(frozen=True, slots=True)
class ShownBranding:
    """A branding with the default in place of what is empty. `tag` tells its content from others."""

    branding: Branding
    tag: str

    @classmethod
    def of(cls, own: Branding, default: Branding) -> ShownBranding:
        """Return what is shown of the two."""
        branding = own.over(default)
        content = json.dumps(branding.to_json(), sort_keys=True).encode()
        return cls(branding, blake2s(content, digest_size=16).hexdigest())


class ShownBrandings:
    """Answers from the directory of tenants and from a bounded cache of brandings."""

    def __init__(self, directory: TenantLookup, doors: Doors, answer_time: timedelta) -> None:
        self._directory = directory
        self._doors = doors
        self._step = answer_time.total_seconds()
        self._known: OrderedDict[uuid.UUID, tuple[float, ShownBranding]] = OrderedDict()
        self._reads = SingleFlight(self._read)

    async def by_name(self, key: TenantKey | None) -> ShownBranding:
        """Return the branding of the tenant; the installation's without a key and for all that must look alike.

        Raises Unavailable, with the same text whatever is away.
        """
        async with self._held():
            try:
                return await self._of_owner(await self._owner(key))
            except (Unavailable, ResourceExhausted) as error:
                raise _unavailable() from error

    async def _owner(self, key: TenantKey | None) -> uuid.UUID:
        tenant = None if key is None else await self._directory.find(key)
        return tenant.id if tenant is not None and tenant.state is TenantState.ACTIVE else INSTALLATION

    async def _of_owner(self, owner: uuid.UUID) -> ShownBranding:
        read_at, shown = self._known.get(owner, (float("-inf"), None))
        if shown is None or time.monotonic() - read_at > FRESH_SECONDS:
            return await self._reads.result(owner)
        return shown

    async def _read(self, owner: uuid.UUID) -> ShownBranding:
        # Through the system door for every owner: at a tenant's own, its load would tell of it.
        asked_at = time.monotonic()
        async with self._doors.system("show a branding before sign-in", read_only=True) as connection:
            shown = ShownBranding.of(*await repository.of_owner(connection, owner))
        self._known[owner] = (asked_at, shown)
        self._known.move_to_end(owner)
        if len(self._known) > CAPACITY:
            self._known.popitem(last=False)
        return shown

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[None]:
        """Let the block end at the second tick after it began, or at the first one when its work is over."""
        begun = time.monotonic()
        try:
            yield
        finally:
            if self._step:
                done = max(begun + self._step, time.monotonic())
                await asyncio.sleep((done // self._step + 1) * self._step - time.monotonic())


def _unavailable() -> Unavailable:
    return Unavailable(
        "TENANT_DIRECTORY_UNAVAILABLE",
        "Brandings can't be read at the moment. Retry with backoff.",
        retry_after=timedelta(seconds=1),
    )
