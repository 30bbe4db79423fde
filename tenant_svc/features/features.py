"""The use cases of features: create, find, list, change. They open the doors and use neither gRPC nor SQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass, replace

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.pages import Page, id_tokens, page_size
from tenantmesh.chassis.requests import id_problem, refuse, stale
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.errors import AlreadyExists
from tenantmesh.runtime.database import Connection, UniqueViolation
from tenantmesh.tenant_svc.catalog_log.repository import record_catalog
from tenantmesh.tenant_svc.features import repository
from tenantmesh.tenant_svc.features.feature import FeatureDef, Rollout
from tenantmesh.tenant_svc.features.refusals import catalog_full, feature_not_found
from tenantmesh.tenant_svc.features.rules import (
    MAX_CATALOG,
    FeatureDraft,
    check_feature,
    display_name_problem,
    owner_problem,
    rollout_problems,
    unit_problem,
)
from tenantmesh.tenant_svc.features.state import feature_state
from tenantmesh.tenant_svc.positions import lock_log

__all__ = ["FeatureChange", "Features", "claim_gauge", "feature_named", "known_feature"]

PlanIds = Callable[[Connection], Awaitable[Container[str]]]
"""Reads the ids of all plans. Rollouts name plans, but features may not depend on plans, so this is passed in."""

_TOKENS = id_tokens(b"tm.feats")
_CHANGEABLE = ("display_name", "unit", "rollout", "owner")
_PATHS = {*_CHANGEABLE, "rollout.basis_points", "rollout.plan_ids", "*"}
_KEPT = {"id", "type", "period", "etag", "create_time", "update_time"}
"""Paths that change nothing. A gateway that makes the mask from a body names them too, when a feature is sent back as
it was read (AIP-134, AIP-203)."""


@dataclass(frozen=True, slots=True)
class FeatureChange:
    """A change that a request asks for: new values, and the paths of those to apply. Without paths, those that are
    set."""

    draft: FeatureDraft
    paths: frozenset[str]
    etag: str

    def of(self, feature: FeatureDef) -> FeatureDef:
        """Return the feature with the changes applied, unchecked."""
        paths = self.paths or self._set
        if "*" in paths:
            paths = frozenset(_CHANGEABLE)
        draft = self.draft
        return replace(
            feature,
            display_name=draft.display_name if "display_name" in paths else feature.display_name,
            unit=draft.unit if "unit" in paths else feature.unit,
            rollout=draft.rollout if "rollout" in paths else self._rollout(feature.rollout, paths),
            owner=draft.owner if "owner" in paths else feature.owner,
        )

    def check(self, feature: FeatureDef, plans: Container[str]) -> None:
        """Check the change of that feature. Raises InvalidArgument that names every field at fault."""
        wanted, draft = self.of(feature), self.draft
        counted = feature.type in {FeatureType.METERED, FeatureType.GAUGE}
        refuse(
            {
                "update_mask": None if self.paths <= _PATHS | _KEPT else f"may name {', '.join(_CHANGEABLE)} only",
                "feature.id": None if draft.id in {"", feature.id} else "must be the feature's id, or empty",
                "feature.type": None if draft.type in {None, feature.type} else "never changes",
                "feature.period": None if draft.period in {None, feature.period} else "never changes",
                "feature.display_name": display_name_problem(wanted.display_name),
                "feature.unit": unit_problem(wanted.unit, counted=counted),
                "feature.owner": owner_problem(wanted.owner, feature.type),
                **rollout_problems(wanted.rollout, feature.type, plans),
            }
        )

    @property
    def _set(self) -> frozenset[str]:
        return frozenset(name for name in _CHANGEABLE if getattr(self.draft, name))

    def _rollout(self, before: Rollout | None, paths: frozenset[str]) -> Rollout | None:
        """Return the rollout after a request that names parts of it, or nothing."""
        new, after = self.draft.rollout or Rollout(0), before
        if "rollout.basis_points" in paths:
            after = replace(after or Rollout(0), basis_points=new.basis_points)
        if "rollout.plan_ids" in paths:
            after = replace(after or Rollout(0), plan_ids=new.plan_ids)
        return after


class Features:
    """The use cases. All raise Unavailable when the database can't be reached. `actor` is the credential that asks."""

    def __init__(self, doors: Doors, plan_ids: PlanIds) -> None:
        self._doors = doors
        self._plan_ids = plan_ids

    async def create(self, draft: FeatureDraft, actor: str) -> FeatureDef:
        """Add the feature to the catalog. Plans with `all_features` have it at once if it is BOOLEAN.

        Raises InvalidArgument, AlreadyExists `FEATURE_EXISTS`, FailedPrecondition `CATALOG_FULL`.
        """
        try:
            async with self._doors.system("add a feature to the catalog") as connection:
                feature_type = check_feature(draft, await self._plan_ids(connection))
                await lock_log(connection)
                if await repository.count(connection) >= MAX_CATALOG:
                    raise catalog_full(MAX_CATALOG)
                made = await repository.create(connection, draft, feature_type)
                await record_catalog(connection, feature=made.id, actor=actor, before="", after=feature_state(made))
        except UniqueViolation as violation:
            raise AlreadyExists(
                "FEATURE_EXISTS",
                "A feature of this id exists. Choose another id, or update the feature.",
                metadata={"feature": draft.id},
            ) from violation
        return made

    async def get(self, feature_id: str) -> FeatureDef:
        """Return the feature. Raises InvalidArgument without an id, NotFound `FEATURE_NOT_FOUND`."""
        _require(feature_id)
        async with self._doors.system("read a feature", read_only=True) as connection:
            return _found(feature_id, await repository.by_id(connection, feature_id))

    async def page(self, size: int, token: str) -> Page[FeatureDef]:
        """Return a page of features by id, from the token's position. Raises InvalidArgument for another list's
        token."""
        size, after = page_size(size), _TOKENS.open(token)
        async with self._doors.system("list features", read_only=True) as connection:
            found = await repository.page(connection, after, size + 1)
        return _TOKENS.page(found, size, lambda feature: feature.id)

    async def change(self, feature_id: str, change: FeatureChange, actor: str) -> FeatureDef:
        """Change the feature, for every tenant at once. A change to the same values stores nothing.

        Raises InvalidArgument, NotFound `FEATURE_NOT_FOUND`, Aborted `ETAG_MISMATCH`.
        """
        _require(feature_id)
        async with self._doors.system("change a feature") as connection:
            feature = _found(feature_id, await repository.locked(connection, feature_id))
            if change.etag and change.etag != feature.etag:
                raise stale("feature")
            change.check(feature, await self._plan_ids(connection))
            return await _changed(connection, feature, change.of(feature), actor)


async def claim_gauge(connection: Connection, feature_id: str, owner: str, actor: str) -> None:
    """Make the service the owner of a GAUGE feature that has none. Call this in a transaction of the system's door.

    Raises NotFound `FEATURE_NOT_FOUND`.
    """
    feature = _found(feature_id, await repository.locked(connection, feature_id))
    if not feature.owner:
        await _changed(connection, feature, replace(feature, owner=owner), actor)


async def _changed(connection: Connection, feature: FeatureDef, wanted: FeatureDef, actor: str) -> FeatureDef:
    """Store the change of a locked feature, and record it. A change to the same values stores nothing."""
    if wanted == feature:
        return feature
    await lock_log(connection)
    changed = await repository.change(connection, wanted)
    before, after = feature_state(feature), feature_state(changed)
    await record_catalog(connection, feature=feature.id, actor=actor, before=before, after=after)
    return changed


async def feature_named(connection: Connection, feature_id: str) -> FeatureDef | None:
    """Return the feature, or None when it does not exist. A text that can't be an id costs no query."""
    return None if id_problem(feature_id) else await repository.by_id(connection, feature_id)


async def known_feature(connection: Connection, feature_id: str, field: str) -> FeatureDef:
    """Return the feature. Raises InvalidArgument that names the field when the id is empty, and NotFound
    `FEATURE_NOT_FOUND`."""
    refuse({field: None if feature_id else "is required"})
    return _found(feature_id, await feature_named(connection, feature_id))


def _require(feature_id: str) -> None:
    refuse({"id": None if feature_id else "is required"})
    if id_problem(feature_id):
        raise feature_not_found(feature_id)


def _found(feature_id: str, feature: FeatureDef | None) -> FeatureDef:
    if feature is None:
        raise feature_not_found(feature_id)
    return feature
