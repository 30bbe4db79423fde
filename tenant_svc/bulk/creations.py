"""The use case of creating several tenants. It opens the doors."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import FailedPrecondition, FieldViolation, InvalidArgument, MeshError, NotFound
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, UniqueViolation
from tenantmesh.tenant_svc.bulk.batch import Batch, ItemOutcome, refused
from tenantmesh.tenant_svc.bulk.requests import BatchMemory
from tenantmesh.tenant_svc.plans.plan import PlanVersion
from tenantmesh.tenant_svc.plans.plans import plan_for_tenants
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.tenants import creations_repository, directory_repository
from tenantmesh.tenant_svc.tenants.refusals import external_id_taken, parent_not_found, slug_taken
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, Tenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants

__all__ = ["Ready", "TenantCreations"]

Draft = NewTenant | MeshError
"""An item: a new tenant, or what is wrong with it."""
_REASON = "create several tenants"


@dataclass(frozen=True, slots=True)
class Ready:
    """A new tenant that can be created, and the version of its plan."""

    new: NewTenant
    plan: PlanVersion

    @property
    def pinned(self) -> NewTenant:
        """The tenant with the plan that it gets."""
        return replace(self.new, plan_id=self.plan.id)


class TenantCreations:
    """The use case. Raises Unavailable when the database can't be reached. `new_id` makes time-ordered UUIDs."""

    def __init__(self, doors: Doors, tenants: Tenants, memory: BatchMemory, new_id: Callable[[], uuid.UUID]) -> None:
        self._doors = doors
        self._tenants = tenants
        self._memory = memory
        self._new_id = new_id

    async def create(self, drafts: Sequence[Draft], batch: Batch) -> list[ItemOutcome]:
        """Create the tenants in one transaction, and return what became of each draft. A repeated batch gets what it
        did the first time.

        Raises the refusal of the batch unless it may count in part, and AlreadyExists `REQUEST_ID_REUSED`.
        """
        made = await self._memory.made_by(batch)
        if made is not None:
            return made
        placed = await self.placed(drafts)
        try:
            return await self._store(placed, batch)
        except (UniqueViolation, FailedPrecondition, InvalidArgument):
            # The same batch at the same time may have been first: then the names are its own, and the etags older.
            made = await self._memory.made_by(batch)
            if made is None:
                raise
            return made

    async def placed(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return the drafts, with what is wrong with the region or the parent of one instead of it."""
        faults: dict[tuple[str, TenantId | None], MeshError | None] = {}
        for draft in drafts:
            if isinstance(draft, NewTenant) and _place(draft) not in faults:
                faults[_place(draft)] = await self._fault_of_place(draft)
        return [(faults[_place(draft)] or draft) if isinstance(draft, NewTenant) else draft for draft in drafts]

    async def checked_in(self, connection: Connection, drafts: Sequence[Draft]) -> list[Ready | MeshError]:
        """Return each draft with its plan, or why it can't be created. The transaction is the system door's and has
        locked the log, so that it stays true until its end."""
        new = [draft for draft in drafts if isinstance(draft, NewTenant)]
        plans = {plan_id: await _plan(connection, plan_id) for plan_id in dict.fromkeys(each.plan_id for each in new)}
        taken = await creations_repository.taken_slugs(connection, (each.slug for each in new))
        external_ids = filter(None, (each.profile.external_id for each in new))
        held = await creations_repository.held_external_ids(connection, external_ids)
        parents = {each.profile.parent_id for each in new if each.profile.parent_id is not None}
        gone = parents - await directory_repository.not_deleted(connection, parents)
        checked: list[Ready | MeshError] = []
        for draft in _first_of_each_name(drafts):
            if isinstance(draft, MeshError):
                checked.append(draft)
            elif draft.profile.external_id in held:
                checked.append(external_id_taken())
            elif draft.slug in taken:
                checked.append(slug_taken())
            elif draft.profile.parent_id in gone:
                checked.append(parent_not_found())
            else:
                plan = plans[draft.plan_id]
                checked.append(plan if isinstance(plan, MeshError) else Ready(draft, plan))
        return checked

    async def create_in(
        self, connection: Connection, checked: Sequence[Ready | MeshError], actor: str
    ) -> list[Tenant | MeshError]:
        """Create the tenants that are ready, in the same transaction. Return them, and the errors, in their order."""
        ids = [TenantId(self._new_id()) for _ in checked]
        new = [
            (tenant_id, each.pinned, each.plan.version)
            for tenant_id, each in zip(ids, checked, strict=True)
            if isinstance(each, Ready)
        ]
        created = {tenant.id: tenant for tenant in await self._tenants.create_in(connection, new, actor)} if new else {}
        return [
            created[tenant_id] if isinstance(each, Ready) else each
            for tenant_id, each in zip(ids, checked, strict=True)
        ]

    async def _store(self, drafts: Sequence[Draft], batch: Batch) -> list[ItemOutcome]:
        async with self._doors.system(_REASON) as connection:
            await lock_log(connection)
            checked = await self.checked_in(connection, drafts)
            errors = {index: each for index, each in enumerate(checked) if isinstance(each, MeshError)}
            if errors and not batch.partial:
                raise refused(errors)
            if not batch.keep:
                return [each.pinned if isinstance(each, Ready) else each for each in checked]
            outcomes: list[ItemOutcome] = [*await self.create_in(connection, checked, batch.actor)]
            await self._memory.remember(connection, batch, outcomes)
        return outcomes

    async def _fault_of_place(self, draft: NewTenant) -> MeshError | None:
        try:
            await self._tenants.check_place(draft)
        except (InvalidArgument, NotFound) as fault:
            return fault
        return None


async def _plan(connection: Connection, plan_id: str) -> PlanVersion | MeshError:
    try:
        return await plan_for_tenants(connection, plan_id)
    except NotFound as fault:
        return fault


def _place(draft: NewTenant) -> tuple[str, TenantId | None]:
    return draft.profile.region, draft.profile.parent_id


def _first_of_each_name(drafts: Sequence[Draft]) -> Iterable[Draft]:
    """Yield the drafts, with an error instead of one that has a slug or an external id of an earlier one."""
    seen: dict[tuple[str, str], int] = {}
    for index, draft in enumerate(drafts):
        if isinstance(draft, MeshError):
            yield draft
            continue
        names = {"slug": draft.slug, "external_id": draft.profile.external_id}
        twice = [
            FieldViolation(field, f"is that of requests[{seen[field, name]}] too")
            for field, name in names.items()
            if name and seen.setdefault((field, name), index) != index
        ]
        yield InvalidArgument.fields(twice) if twice else draft
