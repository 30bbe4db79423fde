"""The use cases of plans: draft, publish, archive, find, list, compare. They use neither gRPC nor SQL.

Only a plan's newest version can be a draft. Publishing and archiving move a version on and never back. A new draft is
the version after the newest. Archiving a draft discards it. Archiving the last published version closes the plan for
new tenants; publishing another version opens it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.pages import Page, page_size
from tenantmesh.chassis.requests import id_problem, refuse, required, stale
from tenantmesh.interceptors.errors import AlreadyExists, FailedPrecondition
from tenantmesh.runtime.database import Connection, UniqueViolation
from tenantmesh.tenant_svc.catalog_log.repository import record_catalog
from tenantmesh.tenant_svc.features.repository import all_features
from tenantmesh.tenant_svc.plans import repository
from tenantmesh.tenant_svc.plans.difference import Difference, difference
from tenantmesh.tenant_svc.plans.listing import PLAN_TOKENS, read_page
from tenantmesh.tenant_svc.plans.plan import PlanState, PlanVersion
from tenantmesh.tenant_svc.plans.refusals import (
    no_draft,
    none_published,
    plan_is_default,
    plan_not_found,
    plan_not_published,
)
from tenantmesh.tenant_svc.plans.rules import PlanDraft, check_plan
from tenantmesh.tenant_svc.positions import lock_log

__all__ = ["Plans", "VersionRef", "plan_for_tenants"]


@dataclass(frozen=True, slots=True)
class VersionRef:
    """A reference to a plan's version. Version 0 is the newest published one, except where a method says otherwise."""

    plan_id: str
    version: int = 0


class Plans:
    """The use cases. All raise Unavailable when the database can't be reached. `actor` is the credential that asks."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def create(self, draft: PlanDraft) -> PlanVersion:
        """Draft version 1 of a new plan, listed or not. Raises InvalidArgument, AlreadyExists `PLAN_EXISTS`."""
        try:
            async with self._doors.system("draft a new plan") as connection:
                check_plan(draft, await all_features(connection))
                return await _warned(
                    connection, await repository.insert_draft(connection, draft, 1, listed=draft.listed)
                )
        except UniqueViolation as violation:
            raise AlreadyExists(
                "PLAN_EXISTS",
                "A plan of this id exists. Choose another id, or update its draft.",
                metadata={"plan": draft.id},
            ) from violation

    async def update(self, draft: PlanDraft, etag: str) -> PlanVersion:
        """Replace the plan's draft, or draft the next version. A replacement with the same content stores nothing.

        `listed` is kept: a draft without the field must not unlist a published plan. Raises InvalidArgument, NotFound
        `PLAN_NOT_FOUND`, Aborted `ETAG_MISMATCH`.
        """
        _require(draft.id)
        async with self._doors.system("replace the draft of a plan") as connection:
            check_plan(draft, await all_features(connection))
            newest = await _locked(connection, draft.id)
            _refuse_stale(etag, newest)
            refuse({"plan.listed": "is set by SetPlanListed" if draft.listed and not newest.listed else None})
            return await _warned(connection, await _drafted(connection, draft, newest))

    async def get(self, ref: VersionRef) -> PlanVersion:
        """Return the version. Raises InvalidArgument without an id, NotFound `PLAN_NOT_FOUND`."""
        _require(ref.plan_id)
        async with self._doors.system("read a plan", read_only=True) as connection:
            return await _warned(connection, await _wanted(connection, ref))

    async def page(self, size: int, token: str, *, all_versions: bool, plan_id: str) -> Page[PlanVersion]:
        """Return a page of the newest published version of each plan, or of all versions, by plan and version.

        The page begins at the token's position. `plan_id`, if set, selects one plan. Raises InvalidArgument for another
        list's token.
        """
        tokens = PLAN_TOKENS.of(str(all_versions), plan_id)
        size, after = page_size(size), tokens.open(token)
        refuse({"plan_id": id_problem(plan_id) if plan_id else None})
        async with self._doors.system("list plans", read_only=True) as connection:
            return await read_page(connection, tokens, size, after, all_versions=all_versions, plan_id=plan_id)

    async def set_listed(self, plan_id: str, listed: bool | None, actor: str) -> PlanVersion:
        """Set whether tenants on other plans may see the plan, for all its versions. Return the newest version.

        Raises InvalidArgument without an id or a value, NotFound `PLAN_NOT_FOUND`.
        """
        _require(plan_id)
        refuse({"listed": "is required" if listed is None else None})
        wanted = required(listed)
        async with self._doors.system("list or unlist a plan") as connection:
            plan = await _warned(connection, await _locked(connection, plan_id))
            if plan.listed == wanted:
                return plan
            await lock_log(connection)
            await repository.set_listed(connection, plan_id, listed=wanted)
            changed = replace(plan, listed=wanted)
            await record_catalog(connection, feature="", actor=actor, before=_listing(plan), after=_listing(changed))
        return changed

    async def publish(self, ref: VersionRef, actor: str, etag: str = "") -> PlanVersion:
        """Publish the draft, so that new tenants get it. Version 0 is the draft. A published version that is named
        stays as it is.

        Raises NotFound `PLAN_NOT_FOUND`, FailedPrecondition `PLAN_ARCHIVED`, `PLAN_HAS_NO_DRAFT`, Aborted
        `ETAG_MISMATCH`.
        """
        _require(ref.plan_id)
        async with self._doors.system("publish a plan") as connection:
            plan = await _locked(connection, ref.plan_id, ref.version)
            _refuse_stale(etag, plan)
            if plan.state is PlanState.ARCHIVED:
                raise FailedPrecondition(
                    "PLAN_ARCHIVED",
                    f"Version {plan.version} of {plan.id} is archived, which is final. Draft a new one.",
                    metadata={"plan": plan.id, "version": str(plan.version)},
                )
            if plan.state is PlanState.PUBLISHED and ref.version == 0:
                raise no_draft(plan.id, plan.version)
            if plan.state is PlanState.DRAFT:
                await lock_log(connection)
                before = await repository.newest_published(connection, plan.id)
                plan = await repository.publish(connection, plan)
                await _record(connection, before, plan, actor)
            return await _warned(connection, plan)

    async def archive(self, ref: VersionRef, actor: str) -> PlanVersion:
        """Close the version for new tenants. An archived version stays as it is.

        Raises InvalidArgument without a version, NotFound `PLAN_NOT_FOUND`, FailedPrecondition `PLAN_IS_DEFAULT`.
        """
        _require(ref.plan_id)
        refuse({"version": "is required" if ref.version == 0 else None})
        async with self._doors.system("archive a plan") as connection:
            plan = await _locked(connection, ref.plan_id, ref.version)
            if plan.state is PlanState.ARCHIVED:
                return await _warned(connection, plan)
            await lock_log(connection)
            before = await repository.newest_published(connection, plan.id)
            plan = await repository.archive(connection, plan)
            after = await repository.newest_published(connection, plan.id)
            if before is not None and after is None and plan.id == await repository.default_plan_id(connection):
                raise plan_is_default(plan.id, plan.version)
            await _record(connection, before, after, actor)
            return await _warned(connection, plan)

    async def default(self) -> PlanVersion:
        """Return the version that new tenants get when their request names no plan. Raises NotFound
        `PLAN_NOT_FOUND`."""
        async with self._doors.system("read the default plan", read_only=True) as connection:
            return await _warned(connection, await plan_for_tenants(connection, ""))

    async def set_default(self, plan_id: str, actor: str) -> PlanVersion:
        """Make the plan the one that new tenants get when their request names none. Return the version that they get.

        Raises InvalidArgument without an id, NotFound `PLAN_NOT_FOUND`, FailedPrecondition `PLAN_NOT_PUBLISHED`.
        """
        _require(plan_id)
        async with self._doors.system("set the default plan") as connection:
            await _locked(connection, plan_id)
            await lock_log(connection)  # versions are archived under it, so the plan keeps a published one
            plan = await repository.newest_published(connection, plan_id)
            if plan is None:
                raise plan_not_published(plan_id)
            before = await repository.default_plan_id(connection)
            if before != plan_id:
                await repository.set_default_plan(connection, plan_id)
                await record_catalog(
                    connection, feature="", actor=actor, before=f"{before} default", after=f"{plan_id} default"
                )
            return await _warned(connection, plan)

    async def difference(self, start: VersionRef, end: VersionRef) -> Difference:
        """Return the changes from one version to another. An `end` without a plan is of the same plan; its version 0 is
        the draft.

        Raises InvalidArgument without an id, NotFound `PLAN_NOT_FOUND`, FailedPrecondition `PLAN_HAS_NO_DRAFT`.
        """
        _require(start.plan_id)
        async with self._doors.system("compare plans", read_only=True) as connection:
            before = await _wanted(connection, start)
            after = await _end(connection, start, end)
            return difference(before, after, await all_features(connection))


async def plan_for_tenants(connection: Connection, plan_id: str) -> PlanVersion:
    """Return the version that new tenants of the plan get; the empty id is the default plan's. Raises NotFound
    `PLAN_NOT_FOUND`, which names the plans that take tenants."""
    wanted = plan_id or await repository.default_plan_id(connection)
    found = await repository.newest_published(connection, wanted)
    if found is None:
        raise none_published(wanted, [plan.id for plan in await repository.published(connection)])
    return found


def _require(plan_id: str) -> None:
    refuse({"id": None if plan_id else "is required"})
    if id_problem(plan_id):
        raise plan_not_found()


async def _wanted(connection: Connection, ref: VersionRef) -> PlanVersion:
    if ref.version == 0:
        return _found(await repository.newest_published(connection, ref.plan_id))
    return _found(await repository.version(connection, ref.plan_id, ref.version))


async def _end(connection: Connection, start: VersionRef, end: VersionRef) -> PlanVersion:
    if end.version != 0 or end.plan_id not in {"", start.plan_id}:
        plan_id = end.plan_id or start.plan_id
        _require(plan_id)
        return await _wanted(connection, VersionRef(plan_id, end.version))
    newest = _found(await repository.newest(connection, start.plan_id))
    if newest.state is not PlanState.DRAFT:
        raise no_draft(newest.id, newest.version)
    return newest


async def _warned(connection: Connection, plan: PlanVersion) -> PlanVersion:
    """Return the version with its warnings, by the catalog as it is now."""
    return plan.warned(await all_features(connection))


async def _drafted(connection: Connection, draft: PlanDraft, newest: PlanVersion) -> PlanVersion:
    """Store the draft in place of the plan's draft, or as its next version."""
    if newest.state is not PlanState.DRAFT:
        return await repository.insert_draft(connection, draft, newest.version + 1, listed=newest.listed)
    if draft.matches(newest):
        return newest
    return await repository.replace_draft(connection, draft, newest.version)


async def _locked(connection: Connection, plan_id: str, version: int = 0) -> PlanVersion:
    """Lock the plan until this transaction ends, and return the version, or the newest. Raises NotFound
    `PLAN_NOT_FOUND`."""
    if not await repository.lock_plan(connection, plan_id):
        raise plan_not_found()
    if version == 0:
        return _found(await repository.newest(connection, plan_id))
    return _found(await repository.version(connection, plan_id, version))


def _found(plan: PlanVersion | None) -> PlanVersion:
    if plan is None:
        raise plan_not_found()
    return plan


def _refuse_stale(etag: str, plan: PlanVersion) -> None:
    if etag and etag != plan.etag:
        raise stale("plan")


async def _record(connection: Connection, before: PlanVersion | None, after: PlanVersion | None, actor: str) -> None:
    """Record that new tenants get another version, since the plans that offer a feature may have changed."""
    if before != after:
        await record_catalog(
            connection, feature="", actor=actor, before=_version_words(before), after=_version_words(after)
        )


def _listing(plan: PlanVersion) -> str:
    return f"{plan.id} listed" if plan.listed else f"{plan.id} not listed"


def _version_words(plan: PlanVersion | None) -> str:
    return "" if plan is None else f"{plan.id} version {plan.version}"
