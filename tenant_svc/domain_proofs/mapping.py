"""Conversions between proofs and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.chassis.moments import timestamp
from tenantmesh.tenant.v1 import domain_proof_pb2 as pb
from tenantmesh.tenant_svc.domain_proofs.evidence import PAGE, dns_name, proof_text
from tenantmesh.tenant_svc.domain_proofs.proof import (
    NameProof,
    ProofChange,
    ProofFinding,
    ProofReason,
    ProofState,
    ProofTerms,
)

__all__ = ["ProofMessages"]

_STATES = {state: pb.ProofState.Value(f"PROOF_STATE_{state.value}") for state in ProofState}
_REASONS = {reason: pb.ProofReason.Value(f"PROOF_REASON_{reason.value}") for reason in ProofReason}


@dataclass(frozen=True, slots=True)
class ProofMessages:
    """Makes the messages. `label` is the label of the record below a name."""

    label: str
    terms: ProofTerms

    def message(self, proof: NameProof, *, by_http: bool) -> pb.DomainProof:
        """Return the proof, with the instructions for the person who publishes it."""
        lapse = proof.lapse_time(self.terms)
        return pb.DomainProof(
            state=_STATES[proof.state],
            reason=_REASONS[proof.reason],
            state_time=timestamp(proof.state_time),
            dns_name=dns_name(self.label, proof.name),
            dns_value=proof_text(proof.token) if proof.token else "",
            http_url=f"http://{proof.name}{PAGE}" if by_http else "",
            verify_time=None if proof.verify_time is None else timestamp(proof.verify_time),
            lapse_time=None if lapse is None else timestamp(lapse),
            last_check=None if proof.last_check is None else _check(proof.last_check),
            next_check_time=timestamp(proof.next_check_time),
            history=map(_change, proof.history),
        )


def _check(finding: ProofFinding) -> pb.ProofCheck:
    return pb.ProofCheck(check_time=timestamp(finding.time), result=_REASONS[finding.result], detail=finding.detail)


def _change(change: ProofChange) -> pb.ProofChange:
    return pb.ProofChange(
        state=_STATES[change.state], reason=_REASONS[change.reason], change_time=timestamp(change.time)
    )
