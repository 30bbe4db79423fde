"""Conversions between checks of the domain and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from collections.abc import Sequence

from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.servers.status import to_status
from tenantmesh.tenant.v1 import entitlement_service_pb2 as pb
from tenantmesh.tenant_svc.checks.checks import Explanation
from tenantmesh.tenant_svc.checks.decision import Decision
from tenantmesh.tenant_svc.checks.explanation import steps
from tenantmesh.tenant_svc.checks.refusals import batch_too_large, unreadable
from tenantmesh.tenant_svc.checks.rules import FeatureCheck
from tenantmesh.tenant_svc.entitlements.mapping import entitlement_message
from tenantmesh.tenant_svc.entitlements.standing import Standing
from tenantmesh.tenant_svc.grants.mapping import grant_message
from tenantmesh.tenant_svc.history.mapping import change_message
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["check_of", "decision_message", "explanation_message", "result_message", "result_messages"]

BATCH_BYTES = 3 * 1024 * 1024
"""The size of the answers to a batch. gRPC's clients accept messages of 4 MiB; each answer also has a few bytes of its
own there."""


def decision_message(decision: Decision) -> pb.Decision:
    """Return the answer to a check."""
    return pb.Decision(
        allowed=decision.allowed,
        reason=decision.reason,
        entitlement=entitlement_message(decision.entitlement, decision.usage),
    )


def result_message(answer: tuple[Standing, Decision] | MeshError) -> pb.CheckResult:
    """Return the answer to a check of a batch."""
    if isinstance(answer, MeshError):
        return pb.CheckResult(error=to_status(answer))
    standing, decision = answer
    try:
        return pb.CheckResult(decision=decision_message(decision))
    except Exception as error:  # a value that no message holds is this tenant's, and must not fail the others
        return pb.CheckResult(error=to_status(unreadable(standing.entitlements.tenant_id, error)))


def result_messages(answers: Sequence[tuple[Standing, Decision] | MeshError]) -> list[pb.CheckResult]:
    """Return the answers to the checks of a batch. Raises FailedPrecondition `BATCH_TOO_LARGE` where they do not fit
    into one message."""
    results: list[pb.CheckResult] = []
    room = BATCH_BYTES
    for answer in answers:
        result = result_message(answer)
        room -= result.ByteSize()
        if room < 0:
            raise batch_too_large(len(answers), len(results))
        results.append(result)
    return results


def explanation_message(explanation: Explanation, viewer: Viewer) -> pb.ExplainEntitlementResponse:
    """Return a decision with its explanation."""
    return pb.ExplainEntitlementResponse(
        decision=decision_message(explanation.decision),
        steps=steps(explanation.standing.entitlements, explanation.decision, viewer),
        grants=[grant_message(grant, viewer) for grant in explanation.grants],
        recent_changes=[change_message(event, viewer) for event in explanation.recent],
    )


def check_of(request: pb.CheckEntitlementRequest) -> FeatureCheck:
    """Return the check in a request."""
    return FeatureCheck(request.id, request.feature, request.amount)
