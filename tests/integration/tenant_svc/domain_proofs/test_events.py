"""Changes of proofs in the log of tenants' events: one event for each, in the transaction of the change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.domain_proofs.proof import ProofReason, ProofState
from tenantmesh.tenant_svc.tenants import repository
from tenantmesh.tenant_svc.tenants.events import StoredTenantEvents
from tenantmesh.tenant_svc.tenants.name_change import NameChange
from tests.dns_server import SILENT
from tests.integration.tenant_svc.domain_proofs.conftest import MANY, Log, Names
from tests.integration.tenant_svc.domain_proofs.test_proofs import tenant, unused


async def test_a_lost_proof_warns_before_it_lapses(names: Names, log: Log) -> None:
    tenant_id = await tenant(names)
    lapsed = await names.lapsed(tenant_id, unused())
    assert await log.told(tenant_id) == [
        ("VERIFIED", "PROVEN_BY_DNS"),
        ("FAILING", "NO_RECORD"),
        ("LAPSED", "NO_RECORD"),
    ]
    events = await log.of(tenant_id)
    assert {event.type for event in events} == {names.kind.event}
    warning = events[1].name_change
    assert warning is not None
    assert (warning.name, warning.lapse_time) == (lapsed.name, warning.time + timedelta(days=7))
    assert [event.name_change and event.name_change.lapse_time for event in (events[0], events[2])] == [None, None]
    names.publish(lapsed)
    await names.checked(tenant_id, lapsed)
    assert (await log.told(tenant_id))[-1] == ("VERIFIED", "PROVEN_BY_DNS")


async def test_the_loser_of_a_name_is_told_once_and_the_winner_too(names: Names, log: Log) -> None:
    one, other, name = await tenant(names), await tenant(names), unused()
    await names.lapsed(one, name)
    taken = await names.verified(other, name)
    await names.checked(other, taken)
    assert (await log.told(one))[-2:] == [("LAPSED", "NO_RECORD"), ("LAPSED", "TAKEN_OVER")]
    assert await log.told(other) == [("VERIFIED", "PROVEN_BY_DNS")]


async def test_checks_that_change_no_state_tell_nothing(names: Names, log: Log) -> None:
    tenant_id, name = await tenant(names), unused()
    added = await names.added(tenant_id, name)
    await names.checked(tenant_id, added)  # still pending
    names.publish(added)
    for _ in range(2):
        await names.checked(tenant_id, added)
    names.zone.fail(f"_tenantmesh.{name}", SILENT)
    await names.checked(tenant_id, added)
    assert await log.told(tenant_id) == [("VERIFIED", "PROVEN_BY_DNS")]


@contextmanager
def rolled_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets each transaction fail right after it has recorded an event."""
    recorded = repository.record_name_change

    async def fails_after(connection: Connection, owner: TenantId, change: NameChange) -> None:
        await recorded(connection, owner, change)
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr(repository, "record_name_change", fails_after)
        with pytest.raises(SystemError):
            yield


async def test_of_a_change_that_is_rolled_back_nothing_is_told(
    names: Names, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant_id, name = await tenant(names), unused()
    added = await names.added(tenant_id, name)
    names.publish(added)
    with rolled_back(monkeypatch):
        await names.checked(tenant_id, added)
    assert (await names.proofs.get(tenant_id, name)).state is ProofState.PENDING
    assert await log.told(tenant_id) == []
    assert (await names.checked(tenant_id, added)).state is ProofState.VERIFIED
    assert await log.told(tenant_id) == [("VERIFIED", "PROVEN_BY_DNS")]


async def test_a_name_that_is_removed_is_told_of_in_every_state(names: Names, log: Log) -> None:
    one, other = await tenant(names), await tenant(names)
    pending, verified = unused(), unused()
    await names.added(one, pending)
    await names.verified(other, verified)
    for tenant_id, name in ((one, pending), (other, verified)):
        await names.proofs.remove(tenant_id, name)
        event = (await log.of(tenant_id))[-1]
        assert event.name_change is not None
        assert (event.type, event.name_change.name) == (names.kind.event, name)
    assert await log.told(one) == [("LAPSED", "REMOVED")]
    assert await log.told(other) == [("VERIFIED", "PROVEN_BY_DNS"), ("LAPSED", "REMOVED")]


async def test_of_a_removal_that_is_rolled_back_nothing_is_told(
    names: Names, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant_id, name = await tenant(names), unused()
    await names.added(tenant_id, name)
    with rolled_back(monkeypatch):
        await names.proofs.remove(tenant_id, name)
    assert (await names.proofs.get(tenant_id, name)).name == name
    assert await log.told(tenant_id) == []


async def test_of_two_tenants_that_prove_a_name_at_once_one_is_told(names: Names, log: Log) -> None:
    one, other, name = await tenant(names), await tenant(names), unused()
    mine, theirs = await names.added(one, name), await names.added(other, name)
    names.publish(mine)
    names.zone.txt(f"_tenantmesh.{name}", *(f"tenantmesh-proof={each.token}" for each in (mine, theirs)))
    ended = await asyncio.gather(names.checked(one, mine), names.checked(other, theirs))
    assert [proof.reason for proof in ended if proof.state is ProofState.PENDING] == [ProofReason.IN_USE]
    assert [*await log.told(one), *await log.told(other)] == [("VERIFIED", "PROVEN_BY_DNS")]


async def test_an_event_of_a_name_is_kept_as_long_as_others(names: Names, doors: Doors, log: Log) -> None:
    """Although the tenant was changed last long before: its event must not look as old as that."""
    tenant_id = await tenant(names)
    age = "update tenant.{} set update_time = now() - interval '9 days' where tenant_id = $1"
    await names.world.rows(age.format("tenants"), tenant_id)
    await names.lapsed(tenant_id, unused())
    await names.world.rows(age.format("tenant_events") + " and name_change is not null", tenant_id)
    await StoredTenantEvents(doors).prune(timedelta(days=8), MANY)
    assert len(await log.told(tenant_id)) == 3
