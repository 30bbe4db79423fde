"""Answers to checks as messages."""

from __future__ import annotations

import grpc
import pytest

from tenantmesh.tenant_svc.checks.decision import decide
from tenantmesh.tenant_svc.checks.mapping import result_message
from tenantmesh.tenant_svc.entitlements.entitlement import effective
from tenantmesh.tenant_svc.entitlements.standing import Standing
from tests.unit.tenant_svc.entitlements.facts import GAUGE, circumstances, plan

BIGGEST = 2**63 - 1


@pytest.mark.parametrize(
    ("level", "answered", "code"),
    [(BIGGEST, "decision", 0), (BIGGEST + 1, "error", grpc.StatusCode.INTERNAL.value[0])],
)
def test_an_answer_that_no_message_holds_is_the_error_of_its_check(level: int, answered: str, code: int) -> None:
    standing = Standing(effective(circumstances(plan(), levels={GAUGE.id: level})))
    result = result_message((standing, decide(standing, standing.entitlements.features[GAUGE.id], 1)))
    assert (result.WhichOneof("result"), result.error.code) == (answered, code)
