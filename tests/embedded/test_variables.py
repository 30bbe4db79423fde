"""The variables that the reference names: each reaches the programs that read it, and stops no other."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from tenantmesh.deploy.cli import app
from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.deploy.stack.paths import write_private
from tenantmesh.deploy.stack.programs import table
from tenantmesh.deploy.stack.programs.program import Surroundings
from tenantmesh.deploy.stack.programs.python_program import PythonProgram
from tenantmesh.runtime.settings import variables, wrong_settings

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
SETTING = re.compile(r"^\| `(TENANTMESH_[A-Z_]+)` \| (?:`([^`]*)`)?", re.MULTILINE)
OPTION = re.compile(r"^\| `--[^|]*` \| `([^`|]+)` \|", re.MULTILINE)
SETTINGS: dict[str, str] = dict(SETTING.findall((REFERENCE / "settings.md").read_text()))
"""The documented settings, each with its default; empty where it has none."""
OPTIONS = {name for cell in OPTION.findall((REFERENCE / "command-line.md").read_text()) for name in cell.split(", ")}
"""The documented variables of options."""
SAMPLES = {
    "_URL": "postgresql://someone:secret@elsewhere/tenantmesh",
    "_LISTEN": "127.0.0.1:29999",
    "_ENDPOINT": "127.0.0.1:29998",
    "_WORKER": "0",
    "_REFLECTION": "true",
    "_CREDENTIAL": "tmk_x",
    "_PROXIES": "10.0.0.0/8",
}
PROGRAMS = pytest.mark.parametrize("program", table.python_programs(), ids=lambda program: program.name)


def sample(name: str) -> str:
    """A value that the setting takes: its default, or one of its kind."""
    return SETTINGS.get(name) or next((text for end, text in SAMPLES.items() if name.endswith(end)), "")


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    """A stack that was never started, as its programs see it."""
    engines = Engines(tmp_path_factory.mktemp("variables") / "state", temporary=True)
    engines.open()
    for program in table.python_programs():
        write_private(engines.places.key(program.name), f"tmk_{secrets.token_hex(8)}\n")
    yield Surroundings(table.default_ports(), engines.places, engines.postgres, engines.store, table.known_variables())
    engines.close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Every documented variable, set."""
    for name in SETTINGS:
        if value := sample(name):
            monkeypatch.setenv(name, value)
    for name in ("TENANTMESH_SERVER_TLS_CERT", "TENANTMESH_SERVER_TLS_KEY", "TENANTMESH_TOKENS_KEK_FILE"):
        monkeypatch.setenv(name, "some.pem")
    for name in OPTIONS:
        monkeypatch.setenv(name, "29999")
    return monkeypatch


def accepts(program: PythonProgram, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The settings that the program refuses in this environment, one a line."""
    for name in [name for name in os.environ if name.startswith("TENANTMESH_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    try:
        program.reads.model_validate({})
    except ValidationError as error:
        return wrong_settings(error, program.reads)
    return ""


def test_the_reference_has_the_variables_that_this_test_is_about() -> None:
    assert set(SETTINGS) == set().union(*(variables(program.reads) for program in table.python_programs()))
    assert set(OPTIONS) == table.command_line_variables()
    assert "TENANTMESH_WORKER_METRICS_PORT" in OPTIONS


@PROGRAMS
def test_a_stack_takes_every_documented_variable(
    program: PythonProgram, around: Surroundings, environment: pytest.MonkeyPatch
) -> None:
    inherited = dict(program.command(around).environment)
    assert accepts(program, inherited, environment) == ""
    kept_back = {"TENANTMESH_TOKENS_KEK_FILE", "TENANTMESH_DATABASE_SYSTEM_URL", "TENANTMESH_DATABASE_MIGRATE_URL"}
    own = variables(program.reads) & {name for name in SETTINGS if sample(name)}
    assert own - kept_back <= inherited.keys()


@PROGRAMS
def test_a_misspelt_variable_still_stops_the_program(
    program: PythonProgram, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANTMESH_DATABASE_POOLSIZE", "7")
    inherited = dict(program.command(around).environment)
    line = "TENANTMESH_DATABASE_POOLSIZE: no such setting; did you mean TENANTMESH_DATABASE_POOL_SIZE?"
    assert line in accepts(program, inherited, monkeypatch)


@PROGRAMS
def test_serve_hands_no_variable_of_an_option_down(program: PythonProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[dict[str, str]] = []
    monkeypatch.setattr(os, "execve", lambda _program, _argv, environment: handed.append(environment))
    for name in OPTIONS - {"TENANTMESH_STATE"}:
        monkeypatch.setenv(name, "29999")
    for name in ("TENANTMESH_MESH_CREDENTIAL", "TENANTMESH_WORKER_QUEUE_URL"):
        monkeypatch.setenv(name, sample(name))
    if program.name == "auth_svc":
        monkeypatch.setenv("TENANTMESH_TOKENS_KEK_FILE", "some.pem")
    assert CliRunner().invoke(app, ["serve", program.word]).exit_code == 0
    assert accepts(program, handed[0], monkeypatch) == ""
