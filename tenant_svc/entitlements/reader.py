"""Reading tenants' entitlements with one statement: lease refills and cache misses wait for it.

The catalog's part of a row is the same text for every tenant until the catalog changes. The objects made from it are
cached by that text.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, cast

from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.runtime.database import Connection, Record
from tenantmesh.tenant_svc.balances.repository import grant_of
from tenantmesh.tenant_svc.entitlements import repository, selects
from tenantmesh.tenant_svc.entitlements.entitlement import (
    Circumstances,
    OverLimitPolicy,
    PlanTerms,
    TenantEntitlements,
    effective,
)
from tenantmesh.tenant_svc.entitlements.standing import Spent
from tenantmesh.tenant_svc.features.feature import FeatureDef
from tenantmesh.tenant_svc.features.repository import feature_of
from tenantmesh.tenant_svc.plans.plan import PlanVersion
from tenantmesh.tenant_svc.plans.repository import plan_of

__all__ = ["WithSpent", "load", "load_many", "load_with_spent", "tenants_of_slugs"]

_TIMES = frozenset(
    {"create_time", "update_time", "publish_time", "archive_time", "effective_time", "expire_time", "void_time"}
    | {"balance_period"}
)


class WithSpent(NamedTuple):
    """A tenant's entitlements, and the units of its METERED features that the ledger has given out in this period."""

    entitlements: TenantEntitlements
    spent: Mapping[str, Spent]


class _Catalog(NamedTuple):
    features: Mapping[str, FeatureDef]
    published: tuple[PlanVersion, ...]
    nameable: frozenset[str]
    """The plans whose names every reader may see, for any tenant."""


# Through the tenant's door


async def load(connection: Connection, tenant_id: TenantId) -> TenantEntitlements | None:
    """Return the tenant's entitlements by the database's clock; None when it is deleted or never existed."""
    row = await connection.fetch_row(selects.ONE, tenant_id=tenant_id)
    return None if row is None else effective(_circumstances(row, _catalog_in(row)))


async def load_with_spent(connection: Connection, tenant_id: TenantId, *, every_plan: bool = False) -> WithSpent | None:
    """Return the tenant's entitlements as `load` does, with the units given out. `every_plan`: the reader may see the
    names of all plans."""
    row = await connection.fetch_row(selects.ONE_SPENT, tenant_id=tenant_id)
    if row is None:
        return None
    catalog = _catalog_in(row, every_plan=every_plan)
    return WithSpent(effective(_circumstances(row, catalog)), _spent_in(row["spent"]))


# Through the system door, across tenants


async def tenants_of_slugs(connection: Connection, slugs: Collection[str]) -> dict[str, TenantId]:
    """Return the tenants with these slugs, by slug."""
    rows = await connection.fetch(selects.BY_SLUGS, slugs=list(slugs))
    return {row["slug"]: TenantId(row["tenant_id"]) for row in rows}


async def load_many(
    connection: Connection, wanted: Mapping[TenantId, Collection[str]]
) -> Mapping[TenantId, WithSpent | Exception]:
    """Return the entitlements of many tenants as `load_with_spent` does. Unknown tenants are omitted.

    Each result holds only the requested features that exist, so `over_limit` is meaningless in it. A tenant whose rows
    can't be read has the error in place of a result: it is no other tenant's.
    """
    row = await connection.fetch_row(selects.CATALOG)
    catalog = _Catalog({}, (), frozenset()) if row is None else _catalog_in(row)
    rows = await connection.fetch(selects.MANY_SPENT, tenant_ids=list(wanted))
    return {TenantId(row["tenant_id"]): _readable_of(row, catalog, wanted[row["tenant_id"]]) for row in rows}


def _readable_of(row: Record, catalog: _Catalog, wanted: Collection[str]) -> WithSpent | Exception:
    try:
        return _wanted_of(row, catalog, wanted)
    except Exception as error:  # of any kind: nothing is known about rows that break a rule
        return error


def _wanted_of(row: Record, catalog: _Catalog, wanted: Collection[str]) -> WithSpent:
    known = {name: catalog.features[name] for name in wanted if name in catalog.features}
    return WithSpent(effective(_circumstances(row, catalog._replace(features=known))), _spent_in(row["spent"]))


def _circumstances(row: Record, catalog: _Catalog) -> Circumstances:
    plan = _plan_in(row["plan"])
    return Circumstances(
        tenant_id=TenantId(row["tenant_id"]),
        state=TenantState(row["state"]),
        now=row["now"],
        revision=row["revision"],
        plan=plan,
        features=catalog.features,
        published=catalog.published,
        nameable=catalog.nameable | {plan.id},
        overrides=[repository.override_of(stored) for stored in _rows(row["overrides"])],
        grants=[grant_of(stored) for stored in _rows(row["grants"])],
        terms=_terms_in(row["terms"]),
        levels=json.loads(row["levels"] or "{}"),
    )


def _catalog_in(row: Record, *, every_plan: bool = False) -> _Catalog:
    nameable = _nameable_in(row["listed"], every_plan)
    return _Catalog(_features_in(row["features"]), _plans_in(row["published"]), nameable)


@lru_cache(maxsize=64)
def _plan_in(text: str) -> PlanVersion:
    return plan_of(_typed(json.loads(text)))


@lru_cache(maxsize=4)
def _plans_in(text: str | None) -> tuple[PlanVersion, ...]:
    return tuple(plan_of(plan) for plan in _rows(text))


@lru_cache(maxsize=4)
def _nameable_in(text: str | None, every_plan: bool) -> frozenset[str]:
    return frozenset(plan_id for plan_id, listed in json.loads(text or "{}").items() if listed or every_plan)


@lru_cache(maxsize=4)
def _features_in(text: str | None) -> Mapping[str, FeatureDef]:
    return {feature["feature_id"]: feature_of(feature) for feature in _rows(text)}


def _terms_in(text: str | None) -> PlanTerms:
    if text is None:
        return PlanTerms()
    stored = json.loads(text)
    grace_until = stored["grace_until"]
    return PlanTerms(
        OverLimitPolicy(stored["over_limit_policy"]),
        None if grace_until is None else _moment(grace_until),
        tuple(plan_of(_typed(plan)) for plan in stored["grace_plans"] or ()),
    )


def _spent_in(text: str | None) -> Mapping[str, Spent]:
    return {feature: Spent(*amounts) for feature, amounts in json.loads(text or "{}").items()}


def _rows(text: str | None) -> list[Record]:
    return [_typed(row) for row in json.loads(text or "[]")]


def _typed(row: dict[str, Any]) -> Record:
    """Return a JSON object as a row of the table that it came from, with Python's times and UUIDs."""
    for name in _TIMES & row.keys():
        row[name] = None if row[name] is None else _moment(row[name])
    if "grant_id" in row:
        row["grant_id"] = uuid.UUID(row["grant_id"])
    return cast("Record", row)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
