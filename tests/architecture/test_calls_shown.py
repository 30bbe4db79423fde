"""Every method is called on a page, over gRPC and over REST, with what the product answers (tests/transcripts runs the
pages). The methods are those of the descriptors."""

from __future__ import annotations

import re

import pytest

from tests.shown_calls import leads_to, over_grpc, over_rest, rules
from tests.transcripts.page import Step, blocks_of
from tests.transcripts.session import PAGES, ROOT
from tests.transports import METHODS, full_name

STEPS = [
    step for page in PAGES for block in blocks_of((ROOT / page).read_text(encoding="utf-8")) for step in block.steps
]
COMMANDS = [step.command for step in STEPS]
KEPT = re.compile(r"> [\w.-]+$")
"""A file, out of which the page shows the answer by later commands."""
REFUSAL = re.compile(r'ERROR:|\{"code":')
AT_THE_EDGE = {full_name(method) for method in METHODS if rules(method)}
"""The methods that callers outside the mesh have. All others are of the protocol between its processes."""
SHOW_THEM = "show them in docs/how-to/call-every-method.md, and run python -m tests.transcripts --write"


def test_every_method_is_called_on_a_page_over_grpc() -> None:
    assert not sorted(AT_THE_EDGE - over_grpc(COMMANDS)), SHOW_THEM


def test_every_method_is_called_on_a_page_over_rest() -> None:
    assert not sorted(AT_THE_EDGE - over_rest(COMMANDS)), SHOW_THEM


def answered(step: Step) -> bool:
    """Whether the page shows what the call has answered, and that is no refusal."""
    shown = step.output.strip()
    return KEPT.search(step.command) is not None or (shown != "" and REFUSAL.match(shown) is None)


ANSWERED = [step.command for step in STEPS if answered(step)]


def test_every_method_has_an_answer_on_a_page_over_grpc() -> None:
    assert not sorted(AT_THE_EDGE - over_grpc(ANSWERED)), SHOW_THEM


def test_every_method_has_an_answer_on_a_page_over_rest() -> None:
    assert not sorted(AT_THE_EDGE - over_rest(ANSWERED)), SHOW_THEM


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("grpcurl … | grep -o planId", ""),
        ("curl … -o /dev/null", ""),
        ("grpcurl … > /dev/null", ""),
        ("grpcurl …", "ERROR:\n  Code: NotFound\n"),
        ("curl …", '{"code":5,"message":"No such tenant."}\n'),
    ],
)
def test_a_call_without_an_answer_shows_none(command: str, output: str) -> None:
    assert not answered(Step(command, output))


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
