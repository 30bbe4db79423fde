"""The statements on one table of names. All of it goes through the tenant's door, except for `lapsed`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    Table,
    Text,
    any_,
    bindparam,
    delete,
    func,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, Statement, compiled
from tenantmesh.tenant_svc.domain_proofs.proof import (
    SERVED,
    NameProof,
    ProofChange,
    ProofFinding,
    ProofReason,
    ProofState,
)
from tenantmesh.tenant_svc.domain_proofs.repository import TOKEN

__all__ = ["ProofRows"]

_MUTABLE = (
    *("state", "reason", "state_time", "verify_time", "check_time", "check_result", "check_detail"),
    *("next_check_time", "ask_time", "announced", "history"),
)
"""The columns that change."""


class ProofRows:
    """The statements. `column` holds the name; `primary` says of a row whether it is the tenant's primary one."""

    def __init__(self, table: Table, column: str, primary: ColumnElement[bool] | None = None) -> None:
        name = table.c[column]
        own = table.c.tenant_id == bindparam("tenant_id", type_=table.c.tenant_id.type)
        this_name = name == bindparam("name", type_=name.type)
        this = (own, table.c.proof_id == bindparam("proof_id", type_=table.c.proof_id.type))
        after = table.c.proof_id > bindparam("after", type_=table.c.proof_id.type)
        served = table.c.state == any_(literal([state.value for state in SERVED], ARRAY(Text)))
        rows = select(*_columns(table, name, primary))
        changed = {each: bindparam(f"new_{each}", type_=table.c[each].type) for each in _MUTABLE}
        self._page = compiled(rows.where(own, after).order_by(table.c.proof_id).limit(bindparam("size", type_=Integer)))
        self._get = compiled(rows.where(own, this_name))
        self._get_locked = compiled(rows.where(own, this_name).with_for_update(of=table))
        self._by_id = compiled(rows.where(*this))
        self._by_id_locked = compiled(rows.where(*this).with_for_update(of=table))
        self._named = compiled(rows.where(own, name == any_(bindparam("names", type_=ARRAY(Text)))))
        self._all_locked = compiled(rows.where(own).order_by(table.c.proof_id).with_for_update(of=table))
        self._count = compiled(select(func.count().label("count")).select_from(table).where(own))
        self._add = _insertion(table, column)
        self._store = compiled(update(table).where(*this).values(changed))
        self._remove = compiled(delete(table).where(*this))
        self._served = compiled(select(name.label("name")).where(own, served).order_by(table.c.proof_id))
        self._lapsed = compiled(
            select(table.c.tenant_id, table.c.proof_id).where(
                this_name,
                table.c.state == literal_column(f"'{ProofState.LAPSED.value}'", Text),  # as its index says it
                table.c.reason != literal(ProofReason.TAKEN_OVER.value),
            )
        )

    async def page(self, connection: Connection, tenant_id: TenantId, after: uuid.UUID, size: int) -> list[NameProof]:
        """Return the tenant's names after that id, oldest first."""
        return [_proof(row) for row in await connection.fetch(self._page, tenant_id=tenant_id, after=after, size=size)]

    async def get(self, connection: Connection, tenant_id: TenantId, name: str) -> NameProof | None:
        """Return the tenant's proof of the name, or None."""
        return _maybe(await connection.fetch_row(self._get, tenant_id=tenant_id, name=name))

    async def get_locked(self, connection: Connection, tenant_id: TenantId, name: str) -> NameProof | None:
        """Return the proof as `get` does, and lock its row."""
        return _maybe(await connection.fetch_row(self._get_locked, tenant_id=tenant_id, name=name))

    async def by_id(self, connection: Connection, tenant_id: TenantId, proof_id: uuid.UUID) -> NameProof | None:
        """Return the tenant's proof of that id, or None."""
        return _maybe(await connection.fetch_row(self._by_id, tenant_id=tenant_id, proof_id=proof_id))

    async def by_id_locked(self, connection: Connection, tenant_id: TenantId, proof_id: uuid.UUID) -> NameProof | None:
        """Return the proof as `by_id` does, and lock its row."""
        return _maybe(await connection.fetch_row(self._by_id_locked, tenant_id=tenant_id, proof_id=proof_id))

    async def named(self, connection: Connection, tenant_id: TenantId, names: Sequence[str]) -> dict[str, NameProof]:
        """Return those of the names that the tenant has."""
        found = [_proof(row) for row in await connection.fetch(self._named, tenant_id=tenant_id, names=list(names))]
        return {proof.name: proof for proof in found}

    async def all_locked(self, connection: Connection, tenant_id: TenantId) -> list[NameProof]:
        """Return every name of the tenant, oldest first, and lock their rows."""
        return [_proof(row) for row in await connection.fetch(self._all_locked, tenant_id=tenant_id)]

    async def count(self, connection: Connection, tenant_id: TenantId) -> int:
        """Return how many names the tenant has."""
        row = await connection.fetch_row(self._count, tenant_id=tenant_id)
        return 0 if row is None else int(row["count"])

    async def add(self, connection: Connection, tenant_id: TenantId, proof: NameProof) -> None:
        """Store a new name."""
        await connection.execute(
            self._add,
            tenant_id=tenant_id,
            proof_id=proof.id,
            name=proof.name,
            create_time=proof.create_time,
            actor=proof.actor,
            **_values(proof),
        )

    async def store(self, connection: Connection, tenant_id: TenantId, proof: NameProof) -> None:
        """Store the proof's new state. Raises UniqueViolation when another tenant has the name."""
        values = {f"new_{column}": value for column, value in _values(proof).items()}
        await connection.execute(self._store, tenant_id=tenant_id, proof_id=proof.id, **values)

    async def remove(self, connection: Connection, tenant_id: TenantId, proof_id: uuid.UUID) -> None:
        """Delete a name of the tenant."""
        await connection.execute(self._remove, tenant_id=tenant_id, proof_id=proof_id)

    async def served(self, connection: Connection, tenant_id: TenantId) -> list[str]:
        """Return the names that work for the tenant, those that it has had longest first."""
        return [row["name"] for row in await connection.fetch(self._served, tenant_id=tenant_id)]

    async def lapsed(self, connection: Connection, name: str) -> list[tuple[TenantId, uuid.UUID]]:
        """Return the tenants whose proof of the name has lapsed, with the proofs' ids. Through the system door."""
        rows = await connection.fetch(self._lapsed, name=name)
        return [(TenantId(row["tenant_id"]), row["proof_id"]) for row in rows]


def _columns(table: Table, name: ColumnElement[str], primary: ColumnElement[bool] | None) -> list[ColumnElement[Any]]:
    """Return the columns from which a proof is read."""
    return [
        *(table.c.proof_id, name.label("name"), table.c.create_time, table.c.actor),
        *(table.c[each] for each in _MUTABLE),
        TOKEN.label("token"),
        (literal(False, Boolean) if primary is None else primary).label("is_primary"),
    ]


def _insertion(table: Table, column: str) -> Statement:
    """Return the statement that adds a name."""
    fixed: dict[str, Any] = {each: bindparam(each) for each in ("tenant_id", "proof_id", "create_time", "actor")}
    mutable = {each: bindparam(each, type_=table.c[each].type) for each in _MUTABLE}
    return compiled(insert(table).values({**fixed, column: bindparam("name"), **mutable}))


def _values(proof: NameProof) -> dict[str, Any]:
    """Return the values of the columns that change."""
    last = proof.last_check
    return {
        "state": proof.state.value,
        "reason": proof.reason.value,
        "state_time": proof.state_time,
        "verify_time": proof.verify_time,
        "check_time": None if last is None else last.time,
        "check_result": None if last is None else last.result.value,
        "check_detail": None if last is None else last.detail,
        "next_check_time": proof.next_check_time,
        "ask_time": proof.ask_time,
        "announced": proof.announced,
        "history": [change.to_json() for change in proof.history],
    }


def _maybe(row: Record | None) -> NameProof | None:
    return None if row is None else _proof(row)


def _proof(row: Record) -> NameProof:
    return NameProof(
        id=row["proof_id"],
        name=row["name"],
        state=ProofState(row["state"]),
        reason=ProofReason(row["reason"]),
        state_time=row["state_time"],
        create_time=row["create_time"],
        next_check_time=row["next_check_time"],
        verify_time=row["verify_time"],
        last_check=_finding(row),
        ask_time=row["ask_time"],
        announced=row["announced"],
        history=tuple(ProofChange.from_json(change) for change in json.loads(row["history"])),
        token=row["token"] or "",
        primary=bool(row["is_primary"]),
        actor=row["actor"],
    )


def _finding(row: Record) -> ProofFinding | None:
    if row["check_time"] is None:
        return None
    return ProofFinding(row["check_time"], ProofReason(row["check_result"]), row["check_detail"])
