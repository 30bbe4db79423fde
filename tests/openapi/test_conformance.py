"""Schemathesis sends what the OpenAPI document allows, and what it does not, through Envoy to the running mesh."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import HookContext
from schemathesis.checks import CHECKS

from deploy.openapi.__main__ import DOCUMENT
from tests.clients.tools import Mesh

EXAMPLES = 25
TIMEOUT_SECONDS = 10
NOT_ASKED = {
    # Rules such as a slug's are the service's and stand in words only: data of the right type may be refused with 400.
    "positive_data_acceptance",
    # JSON for protobuf takes more than a schema can say: numbers in strings, unknown fields, both spellings of a name.
    "negative_data_rejection",
}


def endless(context: HookContext) -> bool:
    """Says whether an operation is a stream: it has no end to wait for. tests/edge reads streams."""
    responses = context.operation.definition.raw["responses"] if context.operation else {}
    return "text/event-stream" in responses.get("200", {}).get("content", {})


schema = schemathesis.openapi.from_path(DOCUMENT).exclude(endless)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_edge_keeps_to_its_document(case: schemathesis.Case, mesh: Mesh) -> None:
    case.call_and_validate(
        base_url=mesh.edge_url,
        headers={"authorization": f"Bearer {mesh.operator_key}"},
        excluded_checks=[CHECKS.get_one(name) for name in NOT_ASKED],
        timeout=TIMEOUT_SECONDS,
    )
