"""The use case of changing several tenants: update, suspend or delete. It opens the doors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    MeshError,
    NotFound,
)
from tenantmesh.interceptors.tenants import TenantId, is_slug, no_such_tenant, parse_tenant_id
from tenantmesh.runtime.database import Connection, SeveralTenants, UniqueViolation
from tenantmesh.tenant_svc.bulk import repository
from tenantmesh.tenant_svc.bulk.batch import Batch, ItemOutcome, refused
from tenantmesh.tenant_svc.bulk.requests import BatchMemory
from tenantmesh.tenant_svc.dry_runs import kept
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.tenants.kinship import looking_across
from tenantmesh.tenant_svc.tenants.refusals import name_taken, with_children
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = ["ChangeItem", "OneChange", "TenantChanges", "change_several"]

_REFUSALS = (Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound)
"""The errors of an item. Other errors end the batch."""
_REASON = "all changes of a batch count, or none"

OneChange = Callable[[Connection, TenantId], Awaitable[Tenant]]
"""Changes a tenant in a transaction that sees it. Raises a MeshError before it has changed anything."""


@dataclass(frozen=True, slots=True)
class ChangeItem:
    """An item: the tenant's id or slug, and its change; or what is wrong with the item."""

    name: str
    change: OneChange | MeshError


class TenantChanges:
    """The use case. Raises Unavailable when the database can't be reached."""

    def __init__(self, doors: Doors, memory: BatchMemory) -> None:
        self._doors = doors
        self._memory = memory

    async def change(self, items: Sequence[ChangeItem], batch: Batch, *, deletes: bool = False) -> list[ItemOutcome]:
        """Make the changes in one transaction, and return what became of each item. A repeated batch gets what it did
        the first time. With `deletes`, tenants whose children stay are refused.

        Raises the refusal of the batch unless it may count in part, and AlreadyExists `REQUEST_ID_REUSED`.
        """
        made = await self._memory.made_by(batch)
        if made is not None:
            return made
        try:
            return await self._store(items, batch, deletes=deletes)
        except (UniqueViolation, FailedPrecondition, InvalidArgument):
            # The same batch at the same time may have been first: then the names are its own, and the etags older.
            made = await self._memory.made_by(batch)
            if made is None:
                raise
            return made

    async def _store(self, items: Sequence[ChangeItem], batch: Batch, *, deletes: bool) -> list[ItemOutcome]:
        outcomes: dict[int, ItemOutcome] = {}
        targets = await self._targets(items, outcomes)
        beside = looking_across(self._doors) if deletes else nullcontext()
        async with beside as across, kept(self._doors.tenants(_REASON), keep=batch.keep) as several:
            await change_several(several, targets, _changes(items), outcomes, across)
            errors = {index: each for index, each in outcomes.items() if isinstance(each, MeshError)}
            if errors and not batch.partial:
                raise refused(errors, batch.within)
            ordered = [outcomes[index] for index in range(len(items))]
            await self._memory.remember(several.connection, batch, ordered)
        return ordered

    async def _targets(self, items: Sequence[ChangeItem], outcomes: dict[int, ItemOutcome]) -> dict[int, TenantId]:
        """Return the tenant of each item that can be tried. Note what is wrong with the others."""
        slugs = [item.name for item in items if is_slug(item.name)]
        async with self._doors.system("find the tenants of a batch", read_only=True) as connection:
            by_slug = await repository.tenants_by_slugs(connection, slugs)
        targets: dict[int, TenantId] = {}
        seen: dict[TenantId, int] = {}
        for index, item in enumerate(items):
            tenant_id = parse_tenant_id(item.name) or by_slug.get(item.name)
            if isinstance(item.change, MeshError):
                outcomes[index] = item.change
            elif tenant_id is None:
                outcomes[index] = no_such_tenant()
            elif seen.setdefault(tenant_id, index) != index:
                again = FieldViolation("id", f"is the tenant of requests[{seen[tenant_id]}] too")
                outcomes[index] = InvalidArgument.fields([again])
            else:
                targets[index] = tenant_id
        return targets


async def change_several(
    several: SeveralTenants,
    targets: Mapping[int, TenantId],
    changes: Mapping[int, OneChange],
    outcomes: dict[int, ItemOutcome],
    across: Connection | None = None,
) -> None:
    """Make each change in the part of its tenant, and note what becomes of it.

    Deletions look `across` tenants. Children come before their parents then, and a parent is refused while one of its
    children stays.
    """
    await repository.lock_tenants(several.connection, targets.values())
    await lock_log(several.connection)  # after every other lock, and outside of parts that may be undone
    children = {} if across is None else await repository.children_of(across, targets.values())
    done: set[TenantId] = set()
    for index, tenant_id in sorted(targets.items(), key=lambda target: _levels_below(target[1], children)):
        if children.get(tenant_id, set()) - done:
            outcomes[index] = with_children()
            continue
        outcomes[index] = await _tried(several, tenant_id, changes[index])
        if not isinstance(outcomes[index], MeshError):
            done.add(tenant_id)


def _levels_below(tenant_id: TenantId, children: Mapping[TenantId, set[TenantId]]) -> int:
    return max((1 + _levels_below(child, children) for child in children.get(tenant_id, ())), default=0)


def _changes(items: Sequence[ChangeItem]) -> dict[int, OneChange]:
    return {index: item.change for index, item in enumerate(items) if not isinstance(item.change, MeshError)}


async def _tried(several: SeveralTenants, tenant_id: TenantId, change: OneChange) -> Tenant | MeshError:
    try:
        async with several.of(tenant_id) as connection:
            return await change(connection, tenant_id)
    except UniqueViolation as violation:
        return name_taken(violation)
    except _REFUSALS as refusal:
        return refusal
