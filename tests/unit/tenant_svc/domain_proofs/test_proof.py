"""The life of a proof, and the times of its checks."""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tenantmesh.tenant_svc.domain_proofs.proof import (
    NameProof,
    ProofFinding,
    ProofReason,
    ProofState,
    ProofTerms,
    after_check,
    next_check,
    released,
    taken_over,
)

ROOT = Path(__file__).resolve().parents[4]
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TERMS = ProofTerms(interval=DAY, grace=7 * DAY)
PENDING, VERIFIED, FAILING, LAPSED = ProofState
FOUND, MISSING, WRONG, SILENT = (
    ProofReason.PROVEN_BY_DNS,
    ProofReason.NO_RECORD,
    ProofReason.WRONG_VALUE,
    ProofReason.NO_ANSWER,
)


def new() -> NameProof:
    return NameProof(
        id=uuid.UUID(int=1),
        name="acme.com",
        state=PENDING,
        reason=ProofReason.NOT_CHECKED,
        state_time=NOON,
        create_time=NOON,
        next_check_time=NOON,
    )


def life(*findings: tuple[timedelta, ProofReason], terms: ProofTerms = TERMS) -> NameProof:
    """A proof after these findings, each so long after its creation."""
    proof = new()
    for after, result in findings:
        proof = after_check(proof, ProofFinding(NOON + after, result, ""), terms)
    return proof


@pytest.mark.parametrize("result", [MISSING, WRONG, SILENT])
def test_a_proof_that_was_never_found_stays_pending(result: ProofReason) -> None:
    proof = life((HOUR, result), (90 * DAY, result))
    assert (proof.state, proof.state_time, proof.history) == (PENDING, NOON, ())
    assert proof.reason is (ProofReason.NOT_CHECKED if result is SILENT else result)
    assert proof.last_check == ProofFinding(NOON + 90 * DAY, result, "")


def test_a_found_proof_is_verified_and_others_must_be_told() -> None:
    proof = life((HOUR, FOUND))
    assert (proof.state, proof.reason, proof.state_time, proof.verify_time) == (
        VERIFIED,
        FOUND,
        NOON + HOUR,
        NOON + HOUR,
    )
    assert not proof.announced
    assert proof.served


@pytest.mark.parametrize("result", [MISSING, WRONG])
def test_a_lost_proof_fails_first_and_lapses_after_the_grace(result: ProofReason) -> None:
    failing = life((DAY, FOUND), (2 * DAY, result), (5 * DAY, result))
    assert (failing.state, failing.reason, failing.state_time) == (FAILING, result, NOON + 2 * DAY)
    assert failing.served
    assert failing.lapse_time(TERMS) == NOON + 9 * DAY
    almost = after_check(failing, ProofFinding(NOON + 9 * DAY - timedelta(seconds=1), result, ""), TERMS)
    assert almost.state is FAILING
    lapsed = after_check(almost, ProofFinding(NOON + 9 * DAY, result, ""), TERMS)
    assert (lapsed.state, lapsed.state_time, lapsed.served) == (LAPSED, NOON + 9 * DAY, False)
    assert lapsed.lapse_time(TERMS) is None
    assert [change.state for change in lapsed.history] == [LAPSED, FAILING, VERIFIED]


@pytest.mark.parametrize("before", [(), ((DAY, FOUND),), ((DAY, FOUND), (2 * DAY, MISSING))])
def test_no_answer_changes_no_state_however_long_it_lasts(before: tuple[tuple[timedelta, ProofReason], ...]) -> None:
    proof, unseen = life(*before), life(*before, (400 * DAY, SILENT))
    assert replace(unseen, last_check=proof.last_check) == proof


def test_a_good_answer_heals() -> None:
    healed = life((DAY, FOUND), (2 * DAY, MISSING), (3 * DAY, FOUND))
    assert (healed.state, healed.state_time, healed.verify_time) == (VERIFIED, NOON + 3 * DAY, NOON + 3 * DAY)
    again = life((DAY, FOUND), (2 * DAY, MISSING), (9 * DAY, MISSING), (20 * DAY, FOUND))
    assert again.state is VERIFIED


def test_without_a_grace_a_lost_proof_lapses_at_once() -> None:
    none = ProofTerms(interval=DAY, grace=timedelta())
    assert life((DAY, FOUND), (2 * DAY, MISSING), terms=none).state is LAPSED


def test_a_name_that_another_tenant_has_stays_pending_until_it_is_free() -> None:
    held = after_check(new(), ProofFinding(NOON + HOUR, FOUND, ""), TERMS, held=True)
    assert (held.state, held.reason, held.announced, held.verify_time) == (PENDING, ProofReason.IN_USE, True, None)
    assert after_check(held, ProofFinding(NOON + DAY, FOUND, ""), TERMS).state is VERIFIED


def test_a_tenant_reads_that_its_lapsed_name_is_anothers() -> None:
    lapsed = life((DAY, FOUND), (2 * DAY, MISSING), (9 * DAY, MISSING))
    told = taken_over(lapsed, NOON + 10 * DAY)
    assert (told.state, told.reason) == (LAPSED, ProofReason.TAKEN_OVER)
    assert (told.history[0].reason, told.history[0].time) == (ProofReason.TAKEN_OVER, NOON + 10 * DAY)
    assert after_check(told, ProofFinding(NOON + 11 * DAY, MISSING, ""), TERMS).reason is ProofReason.TAKEN_OVER
    assert (
        after_check(told, ProofFinding(NOON + 11 * DAY, FOUND, ""), TERMS, held=True).reason is ProofReason.TAKEN_OVER
    )


def test_a_deleted_tenant_holds_nothing() -> None:
    gone = released(life((DAY, FOUND)), NOON + 2 * DAY)
    assert (gone.state, gone.reason, gone.served, gone.announced) == (PENDING, ProofReason.TENANT_DELETED, False, True)
    assert released(gone, NOON + 3 * DAY) == gone


def test_a_history_is_bounded_and_remembers_how_the_name_was_proven() -> None:
    proof = new()
    for day in range(60):
        proof = after_check(proof, ProofFinding(NOON + day * DAY, MISSING if day % 2 else FOUND, ""), TERMS)
    assert len(proof.history) == 20
    by_http = after_check(life((DAY, FOUND)), ProofFinding(NOON + 2 * DAY, ProofReason.PROVEN_BY_HTTP, ""), TERMS)
    lost = after_check(by_http, ProofFinding(NOON + 3 * DAY, MISSING, ""), TERMS)
    assert (by_http.proven_by, lost.proven_by, new().proven_by) == (ProofReason.PROVEN_BY_HTTP,) * 2 + (None,)


@pytest.mark.parametrize("lot", [0.0, 0.5, 1.0])
def test_checks_come_soon_then_seldom_and_are_spread(lot: float) -> None:
    share = 0.9 + 0.2 * lot

    def pause(proof: NameProof, now: datetime) -> timedelta:
        return next_check(proof, now, TERMS, lot) - now

    pending = life((timedelta(), MISSING))
    assert pause(pending, NOON) == timedelta(seconds=15) * share
    assert pause(pending, NOON + HOUR) == HOUR * share
    assert pause(pending, NOON + 30 * DAY) == DAY * share
    assert pause(life((DAY, FOUND)), NOON + DAY) == DAY * share
    assert pause(life((DAY, FOUND), (2 * DAY, SILENT)), NOON + 2 * DAY) == HOUR * share
    failing = life((DAY, FOUND), (2 * DAY, MISSING))
    assert pause(failing, NOON + 2 * DAY) == HOUR * share
    lapse = NOON + 9 * DAY
    assert next_check(failing, lapse - timedelta(minutes=1), TERMS, lot) == lapse
    assert next_check(failing, lapse, TERMS, lot) == lapse + HOUR * share


def test_only_the_result_of_a_check_verifies_a_name() -> None:
    """The state VERIFIED is made in one function, and one module calls it: that of the checks."""
    sources = {path: path.read_text() for path in (ROOT / "tenant_svc").rglob("*.py")}
    callers = {path.name for path, text in sources.items() if "after_check(" in text}
    assert callers == {"proof.py", "checks.py"}
    makers = {path.name for path, text in sources.items() if re.search(r"(?<!is )ProofState\.VERIFIED", text)}
    assert makers == {"proof.py"}
