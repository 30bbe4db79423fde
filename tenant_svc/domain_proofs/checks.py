"""The jobs that check proofs. Only here does a name become verified, by the result of a look at its proof."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from dataclasses import replace

import structlog

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.enqueue import ROUTINE
from tenantmesh.chassis.jobs.queue import JobHandler
from tenantmesh.interceptors.records import TraceContext
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, UniqueViolation
from tenantmesh.tenant_svc.domain_proofs.evidence import Evidence
from tenantmesh.tenant_svc.domain_proofs.kind import NameKind
from tenantmesh.tenant_svc.domain_proofs.proof import (
    NameProof,
    ProofFinding,
    ProofReason,
    ProofState,
    ProofTerms,
    after_check,
    next_check,
    taken_over,
)
from tenantmesh.tenant_svc.domain_proofs.repository import clock
from tenantmesh.tenant_svc.domain_proofs.turns import TenantTurns
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.tenants import repository as tenants
from tenantmesh.tenant_svc.tenants.name_change import NameChange

__all__ = ["ProofChecks"]

_log = structlog.get_logger("tenantmesh.domains")
_LOTS = random.SystemRandom()
_TENANTS_AT_ONCE = 4
"""A tenant has this part of the checks that run at once, and one at least, in each worker."""


class ProofChecks(JobHandler):
    """See JobHandler. The subject is the name of a proof. Every check enqueues the next one.

    A check may run twice, and beside another check of the same name: the one that began last counts.
    """

    def __init__(self, doors: Doors, kind: NameKind, evidence: Evidence, terms: ProofTerms, at_once: int) -> None:
        self.at_once = at_once
        self._doors = doors
        self._kind = kind
        self._evidence = evidence
        self._terms = terms
        self._turns = TenantTurns(max(1, at_once // _TENANTS_AT_ONCE))
        self.results: Counter[ProofReason] = Counter()
        """The number of checks by what they found."""

    async def cause(self, _subject: str) -> TraceContext | None:
        """Return None: no call waits for a check."""
        return None

    async def work(self, subject: str) -> None:
        """Check the proof if a check is due, and tell the tenants that have lost the name. Raises Unavailable, and
        JobPostponed while other checks of the tenant's names run."""
        try:
            tenant_id, proof_id = self._kind.parse_subject(subject)
        except ValueError:  # a later attempt would fail in the same way
            _log.exception("dropped a job whose payload names no proof", payload=subject)
            return
        with self._turns.turn(tenant_id, subject):
            proof = await self._check(tenant_id, proof_id)
            if proof is not None and not proof.announced:
                await self._announce(tenant_id, proof)

    async def give_up(self, subject: str) -> None:
        """Check the proof at its next turn instead. Raises Unavailable."""
        tenant_id, proof_id = self._kind.parse_subject(subject)
        async with self._doors.tenant(tenant_id) as connection:
            proof = await self._locked(connection, tenant_id, proof_id)
            if proof is not None:
                await self._store(connection, tenant_id, await self._postponed(connection, tenant_id, proof))

    async def _check(self, tenant_id: TenantId, proof_id: uuid.UUID) -> NameProof | None:
        """Look at the proof if that is due, and return it as it is stored then; None when it is gone."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            began = await clock(connection)
            proof = await self._kind.rows.by_id(connection, tenant_id, proof_id)
        if proof is None or proof.next_check_time > began:
            return proof
        result, detail = await self._evidence.look(proof, by_http=self._kind.by_http)
        self.results[result] += 1
        finding = ProofFinding(began, result, detail)
        try:
            return await self._record(tenant_id, proof_id, finding)
        except UniqueViolation:
            return await self._record(tenant_id, proof_id, finding, held=True)

    async def _record(
        self, tenant_id: TenantId, proof_id: uuid.UUID, finding: ProofFinding, *, held: bool = False
    ) -> NameProof | None:
        """Store a finding. Raises UniqueViolation when another tenant has the name."""
        async with self._doors.tenant(tenant_id) as connection:
            before = await self._locked(connection, tenant_id, proof_id)
            if before is None or (before.last_check is not None and before.last_check.time >= finding.time):
                return before
            after = after_check(before, finding, self._terms, held=held)
            if before.next_check_time <= finding.time:  # else somebody asked again meanwhile, and that job is there
                after = await self._postponed(connection, tenant_id, after)
            await self._store(connection, tenant_id, after)
            if after.served != before.served:
                await self._kind.publish(connection, tenant_id)
            await self._tell(connection, tenant_id, before, after)
        self._report(tenant_id, before, after)
        return after

    async def _postponed(self, connection: Connection, tenant_id: TenantId, proof: NameProof) -> NameProof:
        """Enqueue the next check, and return the proof with its time."""
        at = next_check(proof, await clock(connection), self._terms, _LOTS.random())
        await self._kind.schedule(connection, self._kind.subject(tenant_id, proof.id), at, ROUTINE)
        return replace(proof, next_check_time=at)

    async def _announce(self, tenant_id: TenantId, proof: NameProof) -> None:
        """Tell the tenants whose proof of the name has lapsed that it is another's now, and remember that."""
        async with self._doors.system("find tenants that have lost a name", read_only=True) as connection:
            lost = await self._kind.rows.lapsed(connection, proof.name)
        for loser, proof_id in (row for row in lost if row[0] != tenant_id):
            async with self._doors.tenant(loser) as connection:
                their = await self._locked(connection, loser, proof_id)
                if their is not None and their.state is ProofState.LAPSED:
                    changed = taken_over(their, await clock(connection))
                    await self._store(connection, loser, changed)
                    await self._tell(connection, loser, their, changed)
                    self._report(loser, their, changed)
        async with self._doors.tenant(tenant_id) as connection:
            mine = await self._locked(connection, tenant_id, proof.id)
            if mine is not None:
                await self._store(connection, tenant_id, replace(mine, announced=True))

    async def _locked(self, connection: Connection, tenant_id: TenantId, proof_id: uuid.UUID) -> NameProof | None:
        """Lock the tenant, then the proof; None when one of them is gone, as when the tenant is deleted."""
        if await tenants.get_locked(connection, tenant_id) is None:
            return None
        return await self._kind.rows.by_id_locked(connection, tenant_id, proof_id)

    async def _store(self, connection: Connection, tenant_id: TenantId, proof: NameProof) -> None:
        await self._kind.rows.store(connection, tenant_id, proof)

    async def _tell(self, connection: Connection, tenant_id: TenantId, before: NameProof, after: NameProof) -> None:
        """Tell those who follow the tenant of a change of the state, in the transaction that stores it. Takes the lock
        of the log: every other lock comes before."""
        if after.history == before.history:
            return
        change = NameChange(
            type=self._kind.event.value,
            name=after.name,
            state=after.state.value,
            reason=after.reason.value,
            time=after.history[0].time,
            lapse_time=after.lapse_time(self._terms),
        )
        await lock_log(connection)
        await tenants.record_name_change(connection, tenant_id, change)

    def _report(self, tenant_id: TenantId, before: NameProof, after: NameProof) -> None:
        """Log a change of the state, as a warning where a tenant loses something."""
        if after.history == before.history:
            return
        log = _log.info if after.state is ProofState.VERIFIED else _log.warning
        log(
            "the proof of a name has changed",
            kind=self._kind.noun,
            name=after.name,
            tenant_id=str(tenant_id),
            state=after.state.value,
            reason=after.reason.value,
        )
