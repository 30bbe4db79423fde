"""A variable that nobody reads stops every command: a misspelt name must not fall back to a default in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tenantmesh.deploy.stack.programs import table
from tenantmesh.deploy.stack.programs.stray_variables import stray_variables
from tests.unit.deploy.commands import run

COMMANDS = (["dev"], ["serve", "tenant"], ["migrate"], ["operator", "list"], ["reset", "--yes"], ["doctor"], ["demo"])


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TENANTMESH_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "300")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_wrong_name_is_listed_with_the_nearest_right_one(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("the service was started"))
    monkeypatch.setenv("TENANTMESH_SERVR_WORKERS", "4")
    monkeypatch.setenv("TENANTMESH_DATABASE_MIGRAT_URL", "postgresql://someone:hunter2@db/tenantmesh")
    monkeypatch.setenv("tenantmesh_workers", "4")
    done = run(*command)
    assert done.exit_code == 78
    assert "TENANTMESH_SERVR_WORKERS: no such setting; did you mean TENANTMESH_SERVER_WORKERS?" in done.output
    assert (
        "TENANTMESH_DATABASE_MIGRAT_URL: no such setting; did you mean TENANTMESH_DATABASE_MIGRATE_URL?" in done.output
    )
    assert "tenantmesh_workers: no such setting" in done.output
    assert "hunter2" not in done.output


@pytest.mark.parametrize("arguments", [["--help"], ["dev", "--help"], ["operator", "create", "--help"], ["--version"]])
def test_help_and_version_are_printed_all_the_same(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTMESH_SERVR_WORKERS", "4")
    assert run(*arguments).exit_code == 0


def test_every_variable_that_a_program_or_an_option_reads_is_known() -> None:
    known = dict.fromkeys(table.known_variables(), "1")
    assert list(stray_variables({**known, **{name.lower(): "1" for name in known}})) == []


def test_variables_of_tests_and_of_others_are_left_alone() -> None:
    others = {"TENANTMESH_TEST_UNITS": "5", "TENANTMESH_REQUIRE_TOOLS": "1", "EDGE_PORT": "1", "TENANTMESHES": "1"}
    assert list(stray_variables(others)) == []


SERVICE_LINKS = {
    "TENANTMESH_EDGE_SERVICE_HOST": "10.0.0.1",
    "TENANTMESH_EDGE_SERVICE_PORT": "8080",
    "TENANTMESH_EDGE_SERVICE_PORT_HTTP": "8080",
    "TENANTMESH_REDIS_PORT": "tcp://10.0.0.1:6379",
    "TENANTMESH_REDIS_PORT_6379_TCP": "tcp://10.0.0.1:6379",
    "TENANTMESH_REDIS_PORT_6379_TCP_ADDR": "10.0.0.1",
    "TENANTMESH_REDIS_SERVICE_HOST": "10.0.0.1",
}


def test_what_kubernetes_sets_for_a_service_of_that_name_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(stray_variables(SERVICE_LINKS)) == []
    handed: list[dict[str, str]] = []
    monkeypatch.setattr(os, "execve", lambda _program, _argv, environment: handed.append(environment))
    for name, value in {**SERVICE_LINKS, "TENANTMESH_REDIS_TIMEOUT": "1s"}.items():
        monkeypatch.setenv(name, value)
    assert run("serve", "tenant").exit_code == 0
    assert not SERVICE_LINKS.keys() & handed[0].keys()
    assert handed[0]["TENANTMESH_REDIS_TIMEOUT"] == "1s"
