"""Every test can fail: each asserts something, and none is skipped in CI for want of a tool."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import tools
from tests.edge import conftest as edge

TESTS = Path(__file__).resolve().parents[1]
FILES = sorted(TESTS.rglob("*.py"))

WAITS = "waits for what must happen, and times out without it"
GATE = "the gate raises what it finds; tests beside it see it raise"
MODEL = "the model asserts after every step"
STREAM = "asserts by the methods of its stream"

WITHOUT_ASSERTION = {
    "behaviour/test_adoption.py::test_it_ends_when_interrupted_though_the_tests_run_in_the_background": (
        "asserts by a test that it calls, and waits for the program to end"
    ),
    "edge/test_tls.py::test_envoy_accepts_it": "Envoy's own validation raises",
    "integration/auth_svc/test_gauge_reports.py::"
    "test_levels_are_told_once_tenant_svc_is_back_and_none_waits_for_another": WAITS,
    "integration/auth_svc/test_schema.py::test_the_gate_finds_nothing_wrong": GATE,
    "integration/auth_svc/test_start.py::test_it_starts_on_what_is_right": "a start that is refused raises",
    "integration/tenant_svc/plan_changes/test_queue.py::test_a_job_that_says_nothing_is_dropped": WAITS,
    "integration/tenant_svc/plan_changes/test_queue.py::test_old_notes_of_jobs_are_deleted": WAITS,
    "integration/tenant_svc/plan_changes/test_races.py::"
    "test_a_change_under_way_does_not_hold_up_what_only_points_to_the_tenant": "times out where a lock is in the way",
    "integration/tenant_svc/allocations/test_model.py::test_the_ledger_is_what_its_model_is": MODEL,
    "integration/tenant_svc/allowances/test_parallel.py::test_accounts_are_opened_in_one_order": "a deadlock raises",
    "integration/tenant_svc/tenants/test_own_changes.py::test_the_next_call_sees_the_change": (
        "asserts in the case that it calls"
    ),
    "integration/tenant_svc/test_schema.py::test_the_boot_gate_accepts_what_the_migrations_made": GATE,
    "openapi/test_conformance.py::test_the_edge_keeps_to_its_document": "schemathesis asserts",
    "unit/auth_svc/test_gauges.py::test_below_the_limit_there_is_room": "raises where there is no room",
    "unit/interceptors/links/test_open_streams.py::test_an_open_stream_ends_with_its_credential": STREAM,
    "unit/interceptors/links/test_open_streams.py::test_an_open_stream_ends_with_its_tenant": STREAM,
    "unit/interceptors/links/test_open_streams.py::test_an_open_stream_outlives_other_changes_of_its_tenant": STREAM,
    "unit/interceptors/leases/test_allowances_model.py::test_never_more_is_served_than_there_is": MODEL,
    "unit/interceptors/leases/test_allowances_model.py::test_everything_is_served_when_nothing_fails": MODEL,
}
"""Tests that fail in another way than by an assertion of their own, each with that way."""

IN_CI = "a failure in CI"
ROOT_ONLY = "no tool that could be installed: only root can become somebody else"
SKIPS = {
    "clients/tools.py:available": IN_CI,
    "edge/conftest.py:require_envoy": IN_CI,
    "embedded/test_binaries.py:<module>": ROOT_ONLY,
    "embedded/test_crash.py:test_locks_of_a_zombie_do_not_block_the_next_start": "about what Linux alone does",
    "embedded/test_ordinary_user.py:<module>": ROOT_ONLY,
    "embedded/test_ordinary_user.py:python": IN_CI,
}
"""Places that skip tests, each with why CI misses nothing by that."""

OWN_SERVERS = {"behaviour/test_day_boundary.py", "integration/runtime/test_outages.py"}
"""Files whose tests end connections of servers that they started."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(TESTS).as_posix()


def asserts(test: Function) -> bool:
    """Whether the function asserts something, or expects an error."""
    nodes = list(ast.walk(test))
    expects = {"raises", "warns", "fail"}
    return any(isinstance(each, ast.Assert) or getattr(each, "attr", "") in expects for each in nodes)


def without_assertion() -> Iterator[str]:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function) and node.name.startswith("test_") and not asserts(node):
                yield f"{name_of(path)}::{node.name}"


def skips(node: ast.AST, function: str = "<module>") -> Iterator[str]:
    """The functions that skip, by a call or by their decorators."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Attribute) and child.attr == "Exception":
            continue  # the exception by which a test skips, caught by who tests that it does
        within = child.name if isinstance(child, Function) else function
        used = child.attr if isinstance(child, ast.Attribute) else child.name if isinstance(child, ast.alias) else ""
        if used in {"skip", "skipif", "xfail", "importorskip"}:
            yield within
        yield from skips(child, within)


def ending_connections() -> Iterator[str]:
    """The files with a function that ends connections of every database of its server."""
    for path in FILES:
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            text = ast.get_source_segment(source, node) or "" if isinstance(node, Function) else ""
            if "pg_terminate_backend(" in text and "datname = current_database()" not in text:
                yield name_of(path)


def test_no_test_ends_connections_of_another_process() -> None:
    """All processes of a run share one server, each with a database of its own."""
    found = {name for name in ending_connections() if name != name_of(Path(__file__))}
    assert found == OWN_SERVERS, "name the database, or start a server for the test"


def test_every_test_asserts_or_says_how_it_fails() -> None:
    assert set(without_assertion()) == set(WITHOUT_ASSERTION), "add an assertion, or the way in which the test fails"


def test_every_skip_says_why_ci_misses_nothing() -> None:
    found = {f"{name_of(path)}:{place}" for path in FILES for place in skips(ast.parse(path.read_text()))}
    assert found == set(SKIPS), "a tool that is missing in CI is a failure: say why this is none"


@pytest.mark.parametrize(
    ("source", "places"),
    [
        ('def f():\n    pytest.skip("x")', ["f"]),
        ('def f():\n    (pytest.fail if CI else pytest.skip)("x")', ["f"]),
        ('@pytest.mark.skipif(A, reason="x")\ndef test_a(): ...', ["test_a"]),
        ('pytestmark = pytest.mark.skip("x")', ["<module>"]),
        ("from pytest import skip", ["<module>"]),
        ("stream.read()", []),
    ],
)
def test_skips_are_found(source: str, places: list[str]) -> None:
    assert list(skips(ast.parse(source))) == places


OUTCOMES = (pytest.fail.Exception, pytest.skip.Exception)


@pytest.mark.parametrize(("ci", "outcome"), [("true", OUTCOMES[0]), ("", OUTCOMES[1])])
def test_what_is_missing_is_a_failure_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.delenv("TENANTMESH_REQUIRE_TOOLS", raising=False)
    monkeypatch.setattr(edge, "binary", lambda: None)
    with pytest.raises(OUTCOMES) as of_a_tool:
        tools.available(tmp_path / "grpcurl")
    with pytest.raises(OUTCOMES) as of_envoy:
        edge.require_envoy()
    assert (of_a_tool.type, of_envoy.type) == (outcome, outcome)
