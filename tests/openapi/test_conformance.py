"""Schemathesis sends what the OpenAPI document allows, and what it does not, through Envoy to the running mesh."""

from __future__ import annotations

from typing import Any, cast

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import CheckFunction
from schemathesis.checks import CHECKS
from schemathesis.filters import HasAPIOperation

from tests.clients.tools import Mesh
from tooling.openapi.__main__ import DOCUMENT

EXAMPLES = 25
TIMEOUT_SECONDS = 10
NOT_ASKED = {
    # Rules such as a slug's are the service's and stand in words only: data of the right type may be refused with 400.
    "positive_data_acceptance",
    # JSON for protobuf takes more than a schema can say: numbers in strings, unknown fields, both spellings of a name.
    "negative_data_rejection",
    # The edge reads path, query and body before a service reads the credential: a call wrong in both ways gets 400.
    "missing_required_header",
    # One of the methods it tries, QUERY, is no HTTP for Envoy's parser, which answers 400; tests/edge has the 405s.
    "unsupported_method",
}


def endless(context: HasAPIOperation) -> bool:
    """Says whether an operation is a stream: it has no end to wait for. tests/edge reads streams."""
    return "text/event-stream" in context.operation.definition.raw["responses"]["200"]["content"]


schema = schemathesis.openapi.from_path(DOCUMENT).exclude(endless)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_edge_keeps_to_its_document(case: schemathesis.Case[Any], mesh: Mesh) -> None:
    case.call_and_validate(
        base_url=mesh.edge_url,
        headers={"Authorization": f"Bearer {mesh.operator_key}"},
        excluded_checks=[cast("CheckFunction", CHECKS.get_one(name)) for name in NOT_ASKED],
        timeout=TIMEOUT_SECONDS,
    )
