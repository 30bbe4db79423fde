"""The life of a proof on a real database, by checks that ask a real DNS server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.tenant_svc.domain_proofs.checks import ProofChecks
from tenantmesh.tenant_svc.domain_proofs.evidence import Evidence, proof_text
from tenantmesh.tenant_svc.domain_proofs.proof import NameProof, ProofReason, ProofState, ProofTerms
from tenantmesh.tenant_svc.domain_proofs.wiring import ProofParts, check_metrics
from tests.dns_server import SILENT
from tests.integration.tenant_svc.domain_proofs.conftest import Names
from tests.integration.tenant_svc.domain_proofs.test_proofs import tenant, unused

PENDING, VERIFIED, FAILING, LAPSED = ProofState


async def test_a_name_is_verified_by_its_record_alone(names: Names) -> None:
    tenant_id, name = await tenant(names), unused()
    added = await names.added(tenant_id, name)
    missing = await names.checked(tenant_id, added)
    assert (missing.state, missing.reason) == (PENDING, ProofReason.NO_RECORD)
    names.publish(added, "tenantmesh-proof=of-somebody-else")
    wrong = await names.checked(tenant_id, added)
    assert (wrong.state, wrong.reason) == (PENDING, ProofReason.WRONG_VALUE)
    names.publish(added)
    proven = await names.checked(tenant_id, added)
    assert (proven.state, proven.reason) == (VERIFIED, ProofReason.PROVEN_BY_DNS)
    assert proven.verify_time is not None


async def test_the_record_may_be_written_in_many_ways(names: Names) -> None:
    tenant_id = await tenant(names)
    for form in ("strings", "case", "quotes", "beside others"):
        added = await names.added(tenant_id, unused())
        text, record = proof_text(added.token), f"_tenantmesh.{added.name}"
        match form:
            case "strings":
                names.zone.txt(record, [text[:5].encode(), text[5:20].encode(), text[20:].encode()])
            case "case":
                names.zone.txt(record.upper(), text.upper())
            case "quotes":
                names.zone.txt(record, f' "{text}" ')
            case _:
                names.zone.txt(record, "v=spf1 -all", text, [b"\xff" * 200])
        assert (await names.checked(tenant_id, added)).state is VERIFIED, form


async def test_the_token_of_another_tenant_proves_nothing(names: Names) -> None:
    one, other, name = await tenant(names), await tenant(names), unused()
    mine, theirs = await names.added(one, name), await names.added(other, name)
    names.publish(theirs)
    assert (await names.checked(one, mine)).reason is ProofReason.WRONG_VALUE
    assert (await names.checked(other, theirs)).state is VERIFIED


@pytest.mark.parametrize("how", ["SERVFAIL", "REFUSED", SILENT])
async def test_a_dns_that_does_not_answer_changes_nothing(names: Names, parts: ProofParts, how: str) -> None:
    tenant_id = await tenant(names)
    verified = await names.verified(tenant_id, unused())
    names.zone.fail(f"_tenantmesh.{verified.name}", how)
    await names.aged(verified, 400)
    before = await names.proofs.get(tenant_id, verified.name)
    after = await names.checked(tenant_id, verified)
    assert (after.state, after.state_time, after.history) == (VERIFIED, before.state_time, before.history)
    assert after.last_check is not None
    assert after.last_check.result is ProofReason.NO_ANSWER
    # It is asked again soon, and not only the day after.
    assert after.next_check_time < datetime.now(UTC) + timedelta(hours=2)


@pytest.mark.parametrize("loss", ["gone", "wrong", "no TXT"])
async def test_a_lost_proof_fails_then_lapses_and_a_good_answer_heals(names: Names, loss: str) -> None:
    tenant_id = await tenant(names)
    proof = await names.verified(tenant_id, unused())
    record = f"_tenantmesh.{proof.name}"
    names.zone.remove(record)
    if loss == "wrong":
        names.zone.txt(record, "another text")
    elif loss == "no TXT":
        names.zone.host(record, "8.8.8.8")
    failing = await names.checked(tenant_id, proof)
    assert failing.state is FAILING
    names.zone.remove(record)
    names.publish(proof)
    assert (await names.checked(tenant_id, proof)).state is VERIFIED
    names.zone.remove(record)
    await names.checked(tenant_id, proof)
    await names.aged(proof, 8)
    lapsed = await names.checked(tenant_id, proof)
    assert (lapsed.state, [change.state for change in lapsed.history[:4]]) == (
        LAPSED,
        [LAPSED, FAILING, VERIFIED, FAILING],
    )
    names.publish(proof)
    assert (await names.checked(tenant_id, proof)).state is VERIFIED


async def test_of_two_tenants_that_prove_a_name_one_gets_it(names: Names) -> None:
    one, other, name = await tenant(names), await tenant(names), unused()
    mine, theirs = await names.added(one, name), await names.added(other, name)
    names.zone.txt(f"_tenantmesh.{name}", proof_text(mine.token), proof_text(theirs.token))
    ended = await asyncio.gather(names.checked(one, mine), names.checked(other, theirs))
    assert sorted(proof.state.value for proof in ended) == ["PENDING", "VERIFIED"]
    (waiting,) = (proof for proof in ended if proof.state is PENDING)
    assert waiting.reason is ProofReason.IN_USE


async def test_a_lapsed_name_is_taken_by_another_tenant_that_proves_it_and_both_know(names: Names) -> None:
    one, other, name = await tenant(names), await tenant(names), unused()
    lost = await names.lapsed(one, name)
    assert lost.state is LAPSED
    taken = await names.verified(other, name)
    assert (taken.state, taken.announced, taken.history[0].state) == (VERIFIED, True, VERIFIED)
    told = await names.proofs.get(one, name)
    assert (told.state, told.reason, told.history[0].reason) == (LAPSED, ProofReason.TAKEN_OVER, ProofReason.TAKEN_OVER)
    # The first can't take it back while the second proves it.
    names.zone.txt(f"_tenantmesh.{name}", proof_text(lost.token), proof_text(taken.token))
    assert (await names.checked(one, lost)).reason is ProofReason.TAKEN_OVER


async def test_a_worker_that_dies_before_it_tells_the_loser_tells_it_later(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, name = await tenant(names), await tenant(names), unused()
    await names.lapsed(one, name)
    added = await names.added(other, name)
    names.publish(added)

    async def dies(*_: object) -> None:
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr(ProofChecks, "_announce", dies)
        with pytest.raises(SystemError):
            await names.checks.work(names.kind.subject(other, added.id))
    verified = await names.proofs.get(other, name)
    assert (verified.state, verified.announced) == (VERIFIED, False)
    assert (await names.proofs.get(one, name)).reason is not ProofReason.TAKEN_OVER
    await names.checks.work(names.kind.subject(other, added.id))  # the same job again
    assert (await names.proofs.get(one, name)).reason is ProofReason.TAKEN_OVER
    assert (await names.proofs.get(other, name)).announced


async def test_a_check_that_is_not_due_asks_nobody(names: Names) -> None:
    tenant_id = await tenant(names)
    verified = await names.verified(tenant_id, unused())
    asked = len(names.zone.asked)
    await names.checks.work(names.kind.subject(tenant_id, verified.id))
    assert len(names.zone.asked) == asked
    assert await names.proofs.get(tenant_id, verified.name) == verified


async def test_every_check_enqueues_the_next_one(names: Names) -> None:
    tenant_id = await tenant(names)
    verified = await names.verified(tenant_id, unused())
    assert (await names.jobs(tenant_id, verified))[-1] == verified.next_check_time
    day = verified.next_check_time - datetime.now(UTC)
    assert timedelta(hours=21) < day < timedelta(hours=27)


class Slow(Evidence):
    """Looks, and then waits before it says what it has seen."""

    def __init__(self) -> None:
        self.looking, self.go = asyncio.Event(), asyncio.Event()

    async def look(self, proof: NameProof, *, by_http: bool) -> tuple[ProofReason, str]:
        self.looking.set()
        await self.go.wait()
        return ProofReason.NO_RECORD, ""


async def test_a_check_that_began_before_another_does_not_undo_it(names: Names, doors: Doors) -> None:
    tenant_id = await tenant(names)
    added = await names.added(tenant_id, unused())
    slow = Slow()
    terms = ProofTerms(interval=timedelta(days=1), grace=timedelta())
    early = asyncio.create_task(
        ProofChecks(doors, names.kind, slow, terms, 1).work(names.kind.subject(tenant_id, added.id))
    )
    await slow.looking.wait()
    names.publish(added)
    asked = await names.proofs.ask(tenant_id, added.name)
    await names.checks.work(names.kind.subject(tenant_id, added.id))
    slow.go.set()
    await early
    after = await names.proofs.get(tenant_id, added.name)
    assert after.state is VERIFIED
    assert after.next_check_time > asked.next_check_time


async def test_a_check_that_is_asked_for_meanwhile_is_made_afterwards(names: Names, doors: Doors) -> None:
    tenant_id = await tenant(names)
    added = await names.added(tenant_id, unused())
    slow = Slow()
    terms = ProofTerms(interval=timedelta(days=1), grace=timedelta())
    early = asyncio.create_task(
        ProofChecks(doors, names.kind, slow, terms, 1).work(names.kind.subject(tenant_id, added.id))
    )
    await slow.looking.wait()
    asked = await names.proofs.ask(tenant_id, added.name)
    slow.go.set()
    await early
    after = await names.proofs.get(tenant_id, added.name)
    assert (after.reason, after.next_check_time) == (ProofReason.NO_RECORD, asked.next_check_time)
    names.publish(added)
    await names.checks.work(names.kind.subject(tenant_id, added.id))
    assert (await names.proofs.get(tenant_id, added.name)).state is VERIFIED


async def test_a_check_that_fails_again_and_again_has_its_next_turn(names: Names) -> None:
    tenant_id = await tenant(names)
    added = await names.added(tenant_id, unused())
    await names.checks.give_up(names.kind.subject(tenant_id, added.id))
    after = await names.proofs.get(tenant_id, added.name)
    assert after.next_check_time > added.next_check_time
    assert after.next_check_time in await names.jobs(tenant_id, after)


@pytest.mark.parametrize("subject", ["", "tenants/x/login-hosts/y", "tenants", "nonsense/1/2/3"])
async def test_a_job_about_nothing_is_dropped(names: Names, subject: str) -> None:
    await names.checks.work(subject)
    assert await names.checks.cause(subject) is None
    assert not names.checks.results


async def test_a_removed_name_is_not_checked(names: Names) -> None:
    tenant_id = await tenant(names)
    added = await names.added(tenant_id, unused())
    await names.proofs.remove(tenant_id, added.name)
    await names.checks.work(names.kind.subject(tenant_id, added.id))
    assert not names.checks.results


async def test_a_deleted_tenant_holds_no_name_and_proves_it_again_when_it_is_back(names: Names, doors: Doors) -> None:
    owner = await names.world.tenant()
    other, name = await tenant(names), unused()
    await names.verified(owner.id, name)
    async with doors.tenant(owner.id) as connection:
        await names.release.deleted(connection, owner, "key")
    free = await names.proofs.get(owner.id, name)
    assert (free.state, free.reason) == (PENDING, ProofReason.TENANT_DELETED)
    assert (await names.verified(other, name)).state is VERIFIED
    await names.proofs.remove(other, name)
    async with doors.tenant(owner.id) as connection:
        await names.release.undeleted(connection, owner, "key")
    back = await names.proofs.get(owner.id, name)
    assert back.next_check_time in await names.jobs(owner.id, back)
    names.publish(back)
    assert (await names.checked(owner.id, back)).state is VERIFIED


async def test_checks_are_counted_by_what_they_found(names: Names) -> None:
    tenant_id = await tenant(names)
    await names.lapsed(tenant_id, unused())
    (metric,) = check_metrics(names.kind, names.checks)
    counted = {sample.labels["result"]: sample.value for sample in metric.samples}
    assert counted == {"proven_by_dns": 1, "no_record": 2}
