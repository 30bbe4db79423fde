"""The use cases of names with proofs: add, find, list, ask for a check, remove. They open the doors and use
neither gRPC nor SQL."""

from __future__ import annotations

import secrets
import uuid
from base64 import b32encode
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.enqueue import ASKED
from tenantmesh.chassis.pages import Page, page_size, uuid_tokens
from tenantmesh.chassis.requests import refuse
from tenantmesh.interceptors.tenants import TenantId, no_such_tenant
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.domain_proofs.kind import NameKind
from tenantmesh.tenant_svc.domain_proofs.names import NameRules, RefusedName, normal_form
from tenantmesh.tenant_svc.domain_proofs.proof import NameProof, ProofReason, ProofState
from tenantmesh.tenant_svc.domain_proofs.refusals import check_too_soon
from tenantmesh.tenant_svc.domain_proofs.repository import clock, keep_token
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.tenants import repository as tenants
from tenantmesh.tenant_svc.tenants.name_change import NameChange

__all__ = ["DomainProofs", "held_tenant"]

MOST_AT_ONCE = 100
"""The most names of one request."""
_TOKEN_BYTES = 16
_TOKENS = uuid_tokens(b"tm.names", uuid.UUID(int=0))


class DomainProofs:
    """The use cases of one kind of names. All raise Unavailable when the database can't be reached, and NotFound
    `TENANT_NOT_FOUND`.

    limit: how many names of the kind a tenant may have. pause: the time between two checks that are asked for.
    new_id: makes time-ordered UUIDs.
    """

    def __init__(
        self,
        doors: Doors,
        kind: NameKind,
        rules: NameRules,
        limit: int,
        pause: timedelta,
        new_id: Callable[[], uuid.UUID],
    ) -> None:
        self._doors = doors
        self._limit = limit
        self._kind = kind
        self._rules = rules
        self._pause = pause
        self._new_id = new_id

    async def add(
        self,
        tenant_id: TenantId,
        texts: Sequence[str],
        *,
        many: bool = False,
        validate_only: bool = False,
        actor: str = "",
    ) -> list[NameProof]:
        """Add the names, all or none, and return their proofs in this order. A name that the tenant has stays as it is.

        `many` says that the request has a list of names, `actor` is the credential that asks. Raises InvalidArgument,
        and the kind's `full`.
        """
        names = self._checked(texts, self._kind.field, many=many)
        async with self._doors.tenant(tenant_id) as connection:
            return await self._added(connection, tenant_id, names, actor, keep=not validate_only)

    async def add_in(
        self, connection: Connection, tenant_id: TenantId, text: str, actor: str, *, field: str
    ) -> NameProof:
        """Do what `add` does with one name, in a transaction of the tenant. `field` is the name's in the request."""
        (added,) = await self._added(connection, tenant_id, self._checked([text], field, many=False), actor)
        return added

    async def _added(
        self, connection: Connection, tenant_id: TenantId, names: Sequence[str], actor: str, *, keep: bool = True
    ) -> list[NameProof]:
        await held_tenant(connection, tenant_id)
        known = await self._kind.rows.named(connection, tenant_id, names)
        new = [name for name in dict.fromkeys(names) if name not in known]
        if new and await self._kind.rows.count(connection, tenant_id) + len(new) > self._limit:
            raise self._kind.full(self._limit)
        now = await clock(connection)
        if not keep:
            return [known.get(name) or self._new(name, now, actor) for name in names]
        await self._store(connection, tenant_id, new, now, actor)
        stored = await self._kind.rows.named(connection, tenant_id, names)
        return [stored[name] for name in names]

    async def get(self, tenant_id: TenantId, text: str) -> NameProof:
        """Return the proof of a name. Raises the kind's `not_found`."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            proof = await self._kind.rows.get(connection, tenant_id, self.sought(text))
        if proof is None:
            raise self._kind.not_found()
        return proof

    async def page(self, tenant_id: TenantId, size: int, token: str) -> Page[NameProof]:
        """Return a page of the tenant's names, oldest first, from the token's position. Raises InvalidArgument for
        another list's token."""
        tokens = _TOKENS.of(str(tenant_id), self._kind.path)
        size, after = page_size(size), tokens.open(token)
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await self._kind.rows.page(connection, tenant_id, after, size + 1)
        return tokens.page(found, size, lambda proof: proof.id)

    async def ask(self, tenant_id: TenantId, text: str) -> NameProof:
        """Ask for a check now. Raises the kind's `not_found`, ResourceExhausted `CHECK_TOO_SOON`."""
        async with self._doors.tenant(tenant_id) as connection:
            await held_tenant(connection, tenant_id)
            proof = await self.locked(connection, tenant_id, text)
            now = await clock(connection)
            if proof.ask_time is not None and now - proof.ask_time < self._pause:
                raise check_too_soon(self._kind.noun, proof.ask_time + self._pause - now)
            asked = replace(proof, ask_time=now, next_check_time=now)
            await self._kind.rows.store(connection, tenant_id, asked)
            await self._kind.schedule(connection, self._kind.subject(tenant_id, proof.id), now, ASKED)
        return asked

    async def remove(self, tenant_id: TenantId, text: str) -> None:
        """Remove a name, and tell those who follow the tenant. Raises the kind's `not_found`."""
        async with self._doors.tenant(tenant_id) as connection:
            await held_tenant(connection, tenant_id)
            proof = await self.locked(connection, tenant_id, text)
            await self._kind.rows.remove(connection, tenant_id, proof.id)
            if proof.served:
                await self._kind.publish(connection, tenant_id)
            removed = NameChange(
                type=self._kind.event.value,
                name=proof.name,
                state=ProofState.LAPSED.value,
                reason=ProofReason.REMOVED.value,
                time=await clock(connection),
            )
            await lock_log(connection)
            await tenants.record_name_change(connection, tenant_id, removed)

    async def locked(self, connection: Connection, tenant_id: TenantId, text: str) -> NameProof:
        """Lock the proof of a name and return it. Raises the kind's `not_found`."""
        proof = await self._kind.rows.get_locked(connection, tenant_id, self.sought(text))
        if proof is None:
            raise self._kind.not_found()
        return proof

    def sought(self, text: str) -> str:
        """Return the spelling under which a name would be stored. Raises the kind's `not_found` for other texts."""
        try:
            return normal_form(text)
        except RefusedName as error:
            raise self._kind.not_found() from error

    def _checked(self, texts: Sequence[str], field: str, *, many: bool) -> list[str]:
        """Return the names in their one spelling. Raises InvalidArgument that says what is wrong with each."""
        if many and not 1 <= len(texts) <= MOST_AT_ONCE:
            refuse({f"{field}s": f"must be 1 to {MOST_AT_ONCE} names"})
        names, problems = [], {}
        for number, text in enumerate(texts):
            try:
                names.append(self._rules.checked(text))
                problem = self._kind.problem(names[-1])
            except RefusedName as refused:
                problem = str(refused)
            problems[f"{field}s[{number}]" if many else field] = problem
        refuse(problems)
        return names

    def _new(self, name: str, now: datetime, actor: str) -> NameProof:
        return NameProof(
            id=self._new_id(),
            name=name,
            state=ProofState.PENDING,
            reason=ProofReason.NOT_CHECKED,
            state_time=now,
            create_time=now,
            next_check_time=now,
            actor=actor,
        )

    async def _store(
        self, connection: Connection, tenant_id: TenantId, names: Sequence[str], now: datetime, actor: str
    ) -> None:
        """Store new names, with a check of each."""
        await keep_token(connection, tenant_id, _new_token())
        for name in names:
            proof = self._new(name, now, actor)
            await self._kind.rows.add(connection, tenant_id, proof)
            await self._kind.schedule(connection, self._kind.subject(tenant_id, proof.id), now, ASKED)


async def held_tenant(connection: Connection, tenant_id: TenantId) -> None:
    """Lock the tenant before its names: deleting a tenant locks in this order too. Raises NotFound."""
    if await tenants.get_locked(connection, tenant_id) is None:
        raise no_such_tenant()


def _new_token() -> str:
    """Return a random token of letters and digits in lower case: what a DNS provider's form may change is no part."""
    return b32encode(secrets.token_bytes(_TOKEN_BYTES)).decode("ascii").rstrip("=").lower()
