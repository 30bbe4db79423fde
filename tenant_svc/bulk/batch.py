"""A batch: the request for one, and what becomes of its items. Neither gRPC nor SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    MeshError,
    NotFound,
)
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, Tenant

__all__ = ["MOST_ITEMS", "Batch", "ItemOutcome", "refused", "restored", "stored"]

MOST_ITEMS = 1000
_KINDS = {error.kind.value: error for error in (Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound)}
_FIELDS = {
    "SLUG_TAKEN": "slug",
    "EXTERNAL_ID_TAKEN": "external_id",
    "PLAN_NOT_FOUND": "plan_id",
    "PARENT_NOT_FOUND": "parent_id",
    "TENANT_NOT_FOUND": "id",
    "TENANT_HAS_CHILDREN": "id",
    "DELETE_PROTECTED": "id",
    "ETAG_MISMATCH": "etag",
    "TOO_MANY_SLUGS": "slug",
}
"""Reason → the field of an item that it is about."""

ItemOutcome = Tenant | NewTenant | MeshError
"""The outcome of an item: the tenant, the one that there would be, or the reason why nothing was done."""


@dataclass(frozen=True, slots=True)
class Batch:
    """How to do a batch.

    actor: the credential that asks.
    key, digest: the key that makes it repeatable, None without one, and the digest of everything else in the request.
    partial: whether items count although others are refused.
    keep: False for a dry run.
    within: the path to a tenant's fields in an item, with a dot at its end; empty where the item has them itself.
    """

    actor: str
    key: RequestKey | None = None
    digest: bytes = b""
    partial: bool = False
    keep: bool = True
    within: str = ""


def refused(errors: Mapping[int, MeshError], within: str = "") -> MeshError:
    """Return the refusal of a batch of which these items can't be done. `within` is that of the batch."""
    violations = [violation for index in sorted(errors) for violation in _violations(index, errors[index], within)]
    as_fields = InvalidArgument.fields(violations)
    if all(isinstance(error, InvalidArgument) for error in errors.values()):
        return as_fields
    first = as_fields.violations[0]
    return FailedPrecondition(
        "BATCH_REFUSED",
        f"{len(errors)} items can't be done, so nothing was. {first.field}: {first.description.removesuffix('.')}. "
        "Correct or leave out these items, or set return_partial_success.",
        metadata={"failed": str(len(errors))},
        violations=as_fields.violations,
    )


def _violations(index: int, error: MeshError, within: str) -> list[FieldViolation]:
    item = f"requests[{index}]"
    if error.violations:
        return [FieldViolation(f"{item}.{each.field}", each.description) for each in error.violations]
    field = _FIELDS.get(error.reason)
    path = field if field in {None, "id"} else f"{within}{field}"
    return [FieldViolation(f"{item}.{path}" if path else item, f"{error.reason}: {error.message}")]


def stored(outcomes: Sequence[ItemOutcome]) -> list[Any]:
    """Return the outcomes as JSON: of a tenant its id alone. Those of a dry run are not stored."""
    return [_error_json(each) if isinstance(each, MeshError) else _id_json(each) for each in outcomes]


def _id_json(outcome: Tenant | NewTenant) -> str:
    if isinstance(outcome, NewTenant):
        raise TypeError("a dry run is not remembered")
    return str(outcome.id)


def _error_json(error: MeshError) -> dict[str, Any]:
    return {
        "kind": error.kind.value,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
        "violations": [[each.field, each.description] for each in error.violations],
    }


def restored(error: Mapping[str, Any]) -> MeshError:
    """Return the error that `stored` wrote."""
    violations = [FieldViolation(*each) for each in error["violations"]]
    kind = _KINDS[error["kind"]]
    return kind(error["reason"], error["message"], metadata=error["metadata"], violations=violations)
