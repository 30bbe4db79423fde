"""The proof of a purge: what is written in it, and whether a text is one. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tenantmesh.chassis.moments import timestamp
from tenantmesh.tenant_svc.operations.operation import Operation
from tenantmesh.tenant_svc.purges.canonical import NotCanonical, canonical, parsed
from tenantmesh.tenant_svc.purges.purge import Amounts, PurgeProgress, PurgeStep, tenant_of_purge
from tenantmesh.tenant_svc.purges.signature import TYPE

__all__ = ["KEPT", "BadProof", "read_proof", "written_proof"]

_VERSION = 1
KEPT: Mapping[str, str] = {
    "tenant.purge_proofs": "this proof: an operator must be able to show that the tenant's data was destroyed",
    "tenant.tenant_tombstones": "the tenant's id: processes that were away learn from it that the tenant is gone",
    "auth.purged_tenants": "the tenant's id: a call that was under way when the tenant was purged adds no row by it",
    "tenant.mesh_operations": "the operation of the purge: the tenant's id, who asked for it, and the numbers above",
    "logs of processes": "ids and times of calls, until the installation's own retention of logs ends",
    "files of the database server": "deleted rows and samples of values, which no service reads, until it vacuums, "
    "analyzes and recycles its log",
    "backups of the database": "all of the above, until the installation's own retention of backups ends",
}
"""The rows and files that outlive the tenant, each with the reason. A proof lists them."""
_AMOUNTS = ("sessions", "passwords", "store_keys", "jobs", "files")


class BadProof(ValueError):
    """The text is no proof that a tenant was destroyed. The message says why."""


def written_proof(
    operation: Operation, progress: PurgeProgress, *, key_ids: Sequence[str], version: str, now: datetime
) -> bytes:
    """Return the text to sign. `key_ids` are the ids of keys that were destroyed with the tenant."""
    if progress.before is None:
        raise ValueError("a purge that has counted nothing proves nothing")
    return canonical(
        {
            "type": TYPE,
            "version": _VERSION,
            "product": {"name": "tenantmesh", "version": version},
            "tenant_id": str(tenant_of_purge(operation)),
            "operation": operation.name,
            "requested": {
                "actor": operation.actor,
                "reason": str(operation.request["wanted"]),
                "time": _time(operation.create_time),
            },
            "deleted": dict(progress.deletion),
            "tables": _tables(progress.before, progress.after),
            "others": [{"name": name, "before": getattr(progress.before, name), "after": 0} for name in _AMOUNTS],
            "destroyed_key_ids": list(key_ids),
            "steps": [
                {"step": step.value, "end_time": progress.done[step.value]}
                for step in PurgeStep
                if step.value in progress.done
            ],
            "kept": [{"what": what, "why": why} for what, why in KEPT.items()],
            "purge_time": _time(now),
        }
    )


def _tables(before: Amounts, after: Mapping[str, int]) -> list[dict[str, str | int]]:
    names = sorted({*before.rows, *after})
    return [{"table": name, "before": before.rows.get(name, 0), "after": after.get(name, 0)} for name in names]


def read_proof(text: bytes) -> dict[str, Any]:
    """Return what a proof says. Raises BadProof for a text that is none, or that says that something is left."""
    try:
        proof = parsed(text)
    except NotCanonical as error:
        raise BadProof(f"the proof is damaged: {error}") from error
    if not isinstance(proof, dict) or proof.get("type") != TYPE:
        raise BadProof("the text is no proof of a purge")
    if proof.get("version") != _VERSION:
        raise BadProof(f"the proof is of version {proof.get('version')}; this program reads version {_VERSION}")
    try:
        _check(proof)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, BadProof):
            raise
        raise BadProof("the proof lacks something that every proof has") from error
    return proof


def _check(proof: Mapping[str, Any]) -> None:
    uuid.UUID(proof["tenant_id"])
    for name in ("operation", "requested", "deleted", "steps", "kept", "purge_time", "product", "destroyed_key_ids"):
        proof[name]
    left = [each.get("table") or each["name"] for each in (*proof["tables"], *proof["others"]) if each["after"] != 0]
    if left:
        raise BadProof(f"the proof says that something is left in {', '.join(left)}")


def _time(moment: datetime) -> str:
    return timestamp(moment).ToJsonString()
