"""The life of a proof: pending, verified, failing, lapsed, and when it is checked again. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

__all__ = [
    "SERVED",
    "NameProof",
    "ProofChange",
    "ProofFinding",
    "ProofReason",
    "ProofState",
    "ProofTerms",
    "after_check",
    "next_check",
    "released",
    "taken_over",
]

_LONGEST_HISTORY = 20
_FIRST_PAUSE = timedelta(seconds=15)
"""The time from the first check of a pending proof to the second. Each pause is as long as all before it."""
_RETRIES_A_DAY = 24
"""How often a missing proof, or one that could not be looked at, is checked in the time between two checks."""
_LEAST, _SPREAD = 0.9, 0.2
"""The share of an interval that passes at least, and the share that is drawn by lot, so that checks spread."""


class ProofState(Enum):
    """See the contract."""

    PENDING = "PENDING"
    VERIFIED = "VERIFIED"
    FAILING = "FAILING"
    LAPSED = "LAPSED"


SERVED = frozenset({ProofState.VERIFIED, ProofState.FAILING})
"""The states in which the name works for its tenant. One tenant at most has a name in one of them."""


class ProofReason(Enum):
    """See the contract."""

    NOT_CHECKED = "NOT_CHECKED"
    PROVEN_BY_DNS = "PROVEN_BY_DNS"
    PROVEN_BY_HTTP = "PROVEN_BY_HTTP"
    NO_RECORD = "NO_RECORD"
    WRONG_VALUE = "WRONG_VALUE"
    NO_ANSWER = "NO_ANSWER"
    IN_USE = "IN_USE"
    TAKEN_OVER = "TAKEN_OVER"
    TENANT_DELETED = "TENANT_DELETED"
    REMOVED = "REMOVED"


_PROVEN = frozenset({ProofReason.PROVEN_BY_DNS, ProofReason.PROVEN_BY_HTTP})


@dataclass(frozen=True, slots=True)
class ProofFinding:
    """The result of a check that began at `time`."""

    time: datetime
    result: ProofReason
    detail: str

    @property
    def proven(self) -> bool:
        """Whether the check found the proof."""
        return self.result in _PROVEN


@dataclass(frozen=True, slots=True)
class ProofChange:
    """A change of the state, or of the reason for it."""

    state: ProofState
    reason: ProofReason
    time: datetime

    def to_json(self) -> dict[str, str]:
        """Return the change as a row stores it."""
        return {"state": self.state.value, "reason": self.reason.value, "time": self.time.isoformat()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ProofChange:
        """Return the change that `to_json` wrote."""
        time = datetime.fromisoformat(stored["time"])
        return cls(ProofState(stored["state"]), ProofReason(stored["reason"]), time)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofTerms:
    """The installation's terms: the time between two checks, and how long a missing proof is waited for."""

    interval: timedelta
    grace: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class NameProof:
    """A name of a tenant, and its proof.

    token: the tenant's, which the proof must show.
    ask_time: when a check was last asked for.
    announced: whether the tenants that had the name before know that it is this tenant's now.
    primary: whether it is the tenant's primary login host.
    actor: the credential that added the name; empty where it was not kept.
    """

    id: uuid.UUID
    name: str
    state: ProofState
    reason: ProofReason
    state_time: datetime
    create_time: datetime
    next_check_time: datetime
    verify_time: datetime | None = None
    last_check: ProofFinding | None = None
    ask_time: datetime | None = None
    announced: bool = True
    history: tuple[ProofChange, ...] = ()
    token: str = ""
    primary: bool = False
    actor: str = ""

    @property
    def served(self) -> bool:
        """Whether the name works for its tenant."""
        return self.state in SERVED

    @property
    def proven_by(self) -> ProofReason | None:
        """The way in which the name was proven last, or None."""
        return next((change.reason for change in self.history if change.state is ProofState.VERIFIED), None)

    def lapse_time(self, terms: ProofTerms) -> datetime | None:
        """Return when the proof lapses unless it is found before; None unless it is failing."""
        return self.state_time + terms.grace if self.state is ProofState.FAILING else None


def after_check(proof: NameProof, finding: ProofFinding, terms: ProofTerms, *, held: bool = False) -> NameProof:
    """Return the proof after a check. `held` says that another tenant has the name, so that this one can't."""
    state, reason = _judged(proof, finding, terms, held=held)
    verified = state is ProofState.VERIFIED and finding.proven
    checked = replace(
        proof,
        last_check=finding,
        verify_time=finding.time if verified else proof.verify_time,
        announced=proof.announced and (proof.served or not verified),
    )
    return _moved(checked, state, reason, finding.time)


def taken_over(proof: NameProof, time: datetime) -> NameProof:
    """Return the lapsed proof after another tenant has proven the name."""
    return _moved(proof, proof.state, ProofReason.TAKEN_OVER, time)


def released(proof: NameProof, time: datetime) -> NameProof:
    """Return the proof of a tenant that is deleted: it holds the name against nobody, and must be given again."""
    return _moved(replace(proof, announced=True), ProofState.PENDING, ProofReason.TENANT_DELETED, time)


def next_check(proof: NameProof, now: datetime, terms: ProofTerms, lot: float) -> datetime:
    """Return when to check again, after a check. `lot` is a number from 0 to 1, drawn for each check."""
    share = _LEAST + _SPREAD * lot
    retry = terms.interval / _RETRIES_A_DAY
    if proof.state is ProofState.PENDING:
        return now + min(terms.interval, max(_FIRST_PAUSE, now - proof.state_time)) * share
    lapse = proof.lapse_time(terms)
    if lapse is not None:
        soon = now + retry * share
        return min(lapse, soon) if lapse > now else soon
    unseen = proof.last_check is not None and proof.last_check.result is ProofReason.NO_ANSWER
    return now + (retry if unseen else terms.interval) * share


def _judged(
    proof: NameProof, finding: ProofFinding, terms: ProofTerms, *, held: bool
) -> tuple[ProofState, ProofReason]:
    """Return the state and the reason after a check."""
    if finding.result is ProofReason.NO_ANSWER:
        return proof.state, proof.reason
    if finding.proven:
        if not held:
            return ProofState.VERIFIED, finding.result
        return proof.state, proof.reason if proof.reason is ProofReason.TAKEN_OVER else ProofReason.IN_USE
    if proof.state is ProofState.PENDING:
        return proof.state, finding.result
    if proof.state is ProofState.LAPSED:
        return proof.state, proof.reason
    since = proof.state_time if proof.state is ProofState.FAILING else finding.time
    lapsed = finding.time - since >= terms.grace
    return ProofState.LAPSED if lapsed else ProofState.FAILING, finding.result


_TOLD = frozenset({ProofReason.TAKEN_OVER, ProofReason.TENANT_DELETED})
"""Reasons that the history tells although the state may be the same; the way of a proof is one more."""


def _moved(proof: NameProof, state: ProofState, reason: ProofReason, time: datetime) -> NameProof:
    """Return the proof in the state, with a line of its history where something has changed."""
    if (state, reason) == (proof.state, proof.reason):
        return proof
    changed = state is not proof.state
    history = proof.history
    if changed or reason in _TOLD or state is ProofState.VERIFIED:
        history = (ProofChange(state, reason, time), *history)[:_LONGEST_HISTORY]
    since = time if changed or reason is ProofReason.TENANT_DELETED else proof.state_time
    return replace(proof, state=state, reason=reason, state_time=since, history=history)
