"""Every method is called on a page, over gRPC and over REST, with what the product answers (tests/transcripts runs the
pages). The methods are those of the descriptors."""

from __future__ import annotations

import pytest

from tests.shown_calls import leads_to, over_grpc, over_rest, rules
from tests.transcripts.page import blocks_of
from tests.transcripts.session import PAGES, ROOT
from tests.transports import METHODS, full_name

COMMANDS = [
    step.command
    for page in PAGES
    for block in blocks_of((ROOT / page).read_text(encoding="utf-8"))
    for step in block.steps
]
AT_THE_EDGE = {full_name(method) for method in METHODS if rules(method)}
"""The methods that callers outside the mesh have. All others are of the protocol between its processes."""
SHOW_THEM = "show them in docs/how-to/call-every-method.md, and run python -m tests.transcripts --write"


def test_every_method_is_called_on_a_page_over_grpc() -> None:
    assert not AT_THE_EDGE - over_grpc(COMMANDS), SHOW_THEM


def test_every_method_is_called_on_a_page_over_rest() -> None:
    assert not AT_THE_EDGE - over_rest(COMMANDS), SHOW_THEM


@pytest.mark.parametrize(
    ("command", "method"),
    [
        ("curl http://127.0.0.1:8080/api/v1/operations/x", "OperationService/GetOperation"),
        ("curl 'http://127.0.0.1:8080/api/v1/operations/x:wait?timeout=1s'", "OperationService/WaitOperation"),
        ("curl http://127.0.0.1:8080/api/v1/tenants/create -d '{}'", "TenantService/CreateTenant"),
        ("curl -X DELETE http://127.0.0.1:8080/api/v1/tenants/acme", "TenantService/DeleteTenant"),
        ("curl http://127.0.0.1:8080/api/v1/tenants:watch", "TenantService/WatchTenants"),
    ],
)
def test_calls_over_rest_are_told_apart(command: str, method: str) -> None:
    assert over_rest([command]) == {f"tenantmesh.tenant.v1.{method}"}


def test_a_call_with_another_verb_is_another_call() -> None:
    (delete,) = [method for method in METHODS if method.name == "DeleteTenant"]
    assert not any(leads_to(rule, "get", "/api/v1/tenants/acme") for rule in rules(delete))
