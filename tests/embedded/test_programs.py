"""The table of programs: a process is one row, and everything that runs programs reads it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from tenantmesh.deploy.cli import app
from tenantmesh.deploy.commands.diagnosis import examine
from tenantmesh.deploy.stack.ports import Port, is_free
from tenantmesh.deploy.stack.programs import table
from tenantmesh.deploy.stack.programs.worker import WorkerProgram
from tenantmesh.deploy.stack.stack import Stack
from tests.ports import stack_ports

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
NAME = "night_worker"


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> WorkerProgram:
    """A row that the table has for the length of a test."""
    row = WorkerProgram(
        name=NAME,
        module="tests.embedded.throwaway",
        word="night",
        jobs="nothing",
        metrics=Port("night_metrics", 9467, "The night worker, metrics."),
        permissions=("tenants.read",),
        waits_for=("tenant_svc",),
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(table, "PROGRAMS", (*table.PROGRAMS, row))
    return row


def process_of(stack: Stack, name: str) -> psutil.Process | None:
    return next((psutil.Process(child.process.pid) for child in stack.children if child.command.name == name), None)


def test_one_more_row_starts_is_supervised_examined_and_stopped(row: WorkerProgram, tmp_path: Path) -> None:
    with Stack(tmp_path / "state", ports=stack_ports(), durable=False, temporary=True) as stack:
        address = stack.addresses[NAME]
        assert row.examine(address).good
        assert stack.places.key(NAME).read_text().startswith("tmk_")
        assert [finding.remedy for finding in examine(stack.places.state, stack.ports) if finding.what == NAME] == [""]

        killed = process_of(stack, NAME)
        assert killed
        killed.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + SECONDS
        while process_of(stack, NAME) in {killed, None} or not row.examine(address).good:
            assert time.monotonic() < deadline
            time.sleep(0.05)
            stack.watch()
        last = process_of(stack, NAME)
    assert last
    assert not last.is_running()
    assert is_free(stack.ports["night_metrics"])


def test_serve_runs_the_row_by_its_word(row: WorkerProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr(os, "execve", lambda _program, argv, _environment: started.append(argv))
    done = CliRunner().invoke(app, ["serve", row.word])
    assert done.exit_code == 0, done.output
    assert [argv[-2:] for argv in started] == [("-m", row.module)]


def test_serve_refuses_a_word_that_no_row_has() -> None:
    done = CliRunner().invoke(app, ["serve", "nobody"])
    assert done.exit_code == 2
    assert "is not one of tenant, auth, worker." in " ".join(done.output.split())


def test_a_program_starts_after_those_that_it_waits_for(row: WorkerProgram) -> None:
    waves = [{program.name for program in wave} for wave in table.waves()]
    assert waves == [{"tenant_svc", "auth_svc", "tenant_worker"}, {"edge", row.name}]


def test_programs_that_wait_for_each_other_are_refused(row: WorkerProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "PROGRAMS", (WorkerProgram(**{**vars(row), "waits_for": (NAME,)}),))
    with pytest.raises(LookupError, match=NAME):
        list(table.waves())


def test_no_two_rows_share_a_name_a_word_or_a_port() -> None:
    ports, words = table.ports(), [program.word for program in table.python_programs()]
    for names in (
        [program.name for program in table.PROGRAMS],
        words,
        [port.name for port in ports],
        [port.default for port in ports],
    ):
        assert len(names) == len(set(names))
