"""The SQL of plans, and nothing else. Either door may read; the rest goes through the system door.

A transaction that changes the plans on offer also records it in the catalog's log (`tenant_svc.catalog_log`).
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import BindParameter, Text, bindparam, func, insert, literal, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on

from tenantmesh.interceptors.limits import Rate
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.features.feature import FeatureValue, Period
from tenantmesh.tenant_svc.plans.plan import PlanState, PlanVersion
from tenantmesh.tenant_svc.plans.rules import PlanDraft
from tenantmesh.tenant_svc.plans.tables import default_plan, plan_versions

__all__ = [
    "archive",
    "default_plan_id",
    "insert_draft",
    "lock_plan",
    "newest",
    "newest_published",
    "page",
    "plan_ids",
    "plan_of",
    "publish",
    "published",
    "published_page",
    "replace_draft",
    "set_default_plan",
    "set_listed",
    "version",
]


def plan_of(row: Record) -> PlanVersion:
    """Return the version of a plan in a row."""
    return PlanVersion(
        row["plan_id"],
        row["version"],
        PlanState(row["state"]),
        row["display_name"],
        {feature: FeatureValue.from_json(value) for feature, value in json.loads(row["features"]).items()},
        row["all_features"],
        {name: Rate(**rate) for name, rate in json.loads(row["rates"]).items()},
        Period(row["billing_period"]),
        row["create_time"],
        row["publish_time"],
        row["archive_time"],
        row["revision"],
        row["listed"],
    )


def _maybe(row: Record | None) -> PlanVersion | None:
    return None if row is None else plan_of(row)


def _stored(row: Record | None) -> PlanVersion:
    if row is None:
        raise LookupError("a version that this transaction has locked is missing")
    return plan_of(row)


_this_plan = plan_versions.c.plan_id == bindparam("plan_id")
_this_version = plan_versions.c.version == bindparam("version")
_is_published = plan_versions.c.state == "PUBLISHED"

_VERSION = compiled(select(plan_versions).where(_this_plan, _this_version))
_NEWEST_PUBLISHED = compiled(
    select(plan_versions).where(_this_plan, _is_published).order_by(plan_versions.c.version.desc()).limit(1)
)
_newest_published = (
    select(plan_versions)
    .ext(distinct_on(plan_versions.c.plan_id))
    .where(_is_published)
    .order_by(plan_versions.c.plan_id, plan_versions.c.version.desc())
)
_PUBLISHED = compiled(_newest_published)
_DEFAULT_PLAN = compiled(select(default_plan.c.plan_id))


async def version(connection: Connection, plan_id: str, version: int) -> PlanVersion | None:
    """Return the version of the plan, or None when it does not exist."""
    return _maybe(await connection.fetch_row(_VERSION, plan_id=plan_id, version=version))


async def newest_published(connection: Connection, plan_id: str) -> PlanVersion | None:
    """Return the version that new tenants of the plan get; None when the plan takes none."""
    return _maybe(await connection.fetch_row(_NEWEST_PUBLISHED, plan_id=plan_id))


async def published(connection: Connection) -> list[PlanVersion]:
    """Return the version that new tenants get, of each plan that takes any, by plan."""
    return [plan_of(row) for row in await connection.fetch(_PUBLISHED)]


async def default_plan_id(connection: Connection) -> str:
    """Return the plan of new tenants whose request names none. Raises LookupError when the migration's row is gone."""
    row = await connection.fetch_row(_DEFAULT_PLAN)
    if row is None:
        raise LookupError("the row of the default plan is missing")
    return str(row["plan_id"])


# Through the system door

_after_id = bindparam("after_id", type_=plan_versions.c.plan_id.type)
_after_version = bindparam("after_version", type_=plan_versions.c.version.type)
_only = bindparam("only", type_=Text)
_is_wanted = or_(_only == literal(""), plan_versions.c.plan_id == _only)

_PLAN_IDS = compiled(select(plan_versions.c.plan_id).distinct())
_ALL_PAGE = compiled(
    select(plan_versions)
    .where(_is_wanted, tuple_(plan_versions.c.plan_id, plan_versions.c.version) > tuple_(_after_id, _after_version))
    .order_by(plan_versions.c.plan_id, plan_versions.c.version)
    .limit(bindparam("size"))
)
_PUBLISHED_PAGE = compiled(
    _newest_published.where(_is_wanted, plan_versions.c.plan_id > _after_id).limit(bindparam("size"))
)
# The first version exists as long as the plan does, so a lock of its row locks the plan.
_LOCK_PLAN = compiled(select(plan_versions.c.version).where(_this_plan, plan_versions.c.version == 1).with_for_update())
_NEWEST = compiled(select(plan_versions).where(_this_plan).order_by(plan_versions.c.version.desc()).limit(1))

_content: dict[str, BindParameter[Any]] = {
    name: bindparam(f"new_{name}") for name in ("display_name", "features", "all_features", "rates", "billing_period")
}
_INSERT = compiled(
    insert(plan_versions)
    .values(
        plan_id=bindparam("plan_id"),
        version=bindparam("version"),
        state=PlanState.DRAFT.value,
        create_time=func.statement_timestamp(),
        revision=1,
        listed=bindparam("listed"),
        **_content,
    )
    .returning(plan_versions)
)
_change = (
    update(plan_versions)
    .where(_this_plan, _this_version)
    .values(revision=plan_versions.c.revision + 1)
    .returning(plan_versions)
)
_REPLACE = compiled(_change.values(**_content))
_PUBLISH = compiled(_change.values(state=PlanState.PUBLISHED.value, publish_time=func.statement_timestamp()))
_ARCHIVE = compiled(_change.values(state=PlanState.ARCHIVED.value, archive_time=func.statement_timestamp()))
_SET_DEFAULT_PLAN = compiled(update(default_plan).values(plan_id=bindparam("new_plan_id")))
_SET_LISTED = compiled(update(plan_versions).where(_this_plan).values(listed=bindparam("new_listed")))


async def plan_ids(connection: Connection) -> set[str]:
    """Return the ids of all plans, in any state."""
    return {row["plan_id"] for row in await connection.fetch(_PLAN_IDS)}


async def page(connection: Connection, after: tuple[str, int], size: int, only: str) -> list[PlanVersion]:
    """Return the versions after that plan and version, in their order; of one plan, if `only` names one."""
    rows = await connection.fetch(_ALL_PAGE, after_id=after[0], after_version=after[1], size=size, only=only)
    return [plan_of(row) for row in rows]


async def published_page(connection: Connection, after: str, size: int, only: str) -> list[PlanVersion]:
    """Return versions as `published` does, of the plans after that id."""
    return [plan_of(row) for row in await connection.fetch(_PUBLISHED_PAGE, after_id=after, size=size, only=only)]


async def lock_plan(connection: Connection, plan_id: str) -> bool:
    """Lock the plan: only this transaction changes it or its versions. Return False when the plan does not exist."""
    return await connection.fetch_row(_LOCK_PLAN, plan_id=plan_id) is not None


async def newest(connection: Connection, plan_id: str) -> PlanVersion | None:
    """Return the version drafted last, in any state; None when the plan does not exist. A draft is always the
    newest."""
    return _maybe(await connection.fetch_row(_NEWEST, plan_id=plan_id))


async def insert_draft(connection: Connection, draft: PlanDraft, version: int, *, listed: bool) -> PlanVersion:
    """Store a new version; `listed` is the value of the plan's other versions. Raises UniqueViolation when it
    exists."""
    content = _stored_content(draft)
    return _stored(await connection.fetch_row(_INSERT, plan_id=draft.id, version=version, listed=listed, **content))


async def replace_draft(connection: Connection, draft: PlanDraft, version: int) -> PlanVersion:
    """Store the draft's new content. Call after `lock_plan`."""
    return _stored(await connection.fetch_row(_REPLACE, plan_id=draft.id, version=version, **_stored_content(draft)))


async def publish(connection: Connection, plan: PlanVersion) -> PlanVersion:
    """Store that the version is published. Call after `lock_plan` and `lock_log`."""
    return _stored(await connection.fetch_row(_PUBLISH, plan_id=plan.id, version=plan.version))


async def archive(connection: Connection, plan: PlanVersion) -> PlanVersion:
    """Store that the version is archived. Call after `lock_plan` and `lock_log`."""
    return _stored(await connection.fetch_row(_ARCHIVE, plan_id=plan.id, version=plan.version))


async def set_listed(connection: Connection, plan_id: str, *, listed: bool) -> None:
    """Store whether the plan is listed, in all its versions. Call after `lock_plan` and `lock_log`."""
    await connection.execute(_SET_LISTED, plan_id=plan_id, new_listed=listed)


async def set_default_plan(connection: Connection, plan_id: str) -> None:
    """Store the plan of new tenants whose request names none. Call after `lock_log`."""
    await connection.execute(_SET_DEFAULT_PLAN, new_plan_id=plan_id)


def _stored_content(draft: PlanDraft) -> dict[str, Any]:
    return {
        "new_display_name": draft.display_name,
        "new_features": {name: value.to_json() for name, value in draft.values.items()},
        "new_all_features": draft.all_features,
        "new_rates": {
            name: {"per_second": rate.per_second, "burst": rate.burst} for name, rate in draft.limits.items()
        },
        "new_billing_period": draft.period.value,
    }
