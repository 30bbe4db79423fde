"""Which folder is a stack's own: the only kind that is used, found and deleted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tenantmesh.deploy.stack import paths
from tenantmesh.deploy.stack.engine_user import EngineUser
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.ports import option_of
from tenantmesh.deploy.stack.state_folder import is_state_folder, nearest
from tenantmesh.deploy.stack.supervision.process import find_process
from tenantmesh.deploy.stack.supervision.record import write_record
from tests.ports import stack_ports
from tests.unit.deploy.commands import run

OURSELVES = EngineUser("ourselves", os.geteuid(), os.getegid(), switch=False)
"""Keeps the data in the state folder, for root as well."""


def made(folder: Path) -> Path:
    paths.prepare(folder, OURSELVES)
    return folder


def made_before_there_was_a_marker(folder: Path) -> Path:
    folder.mkdir()
    for name in ("logs", "data"):
        (folder / name).mkdir()
    for name in ("lock", "credentials.json", "operator.key", "tenant_svc.key", "signing-keys.kek", "run.json"):
        (folder / name).touch()
    return folder


def foreign(folder: Path) -> Path:
    """A project's folder that has a `data` and a `logs` of its own."""
    folder.mkdir()
    for name in ("logs", "data", "src"):
        (folder / name).mkdir()
    (folder / "lock").touch()
    (folder / "src" / "work.py").write_text("years of it")
    return folder


@pytest.mark.parametrize("make", [made, made_before_there_was_a_marker])
def test_reset_deletes_a_folder_that_a_stack_has_made(make: Callable[[Path], Path], tmp_path: Path) -> None:
    state = make(tmp_path / "state")
    done = run("reset", "--yes", "--state", str(state))
    assert done.exit_code == 0, done.output
    assert not state.exists()


def test_reset_and_dev_refuse_a_folder_that_is_somebody_elses(tmp_path: Path) -> None:
    folder = foreign(tmp_path / "project")
    mode = folder.stat().st_mode
    for command in (["reset", "--yes"], ["dev"]):
        done = run(*command, "--state", str(folder))
        assert done.exit_code == 1
        assert "no state folder of tenantmesh" in done.output
    assert (folder / "src" / "work.py").read_text() == "years of it"
    assert folder.stat().st_mode == mode
    assert not is_state_folder(folder)


def test_reset_refuses_a_file(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("kept")
    assert "no state folder" in run("reset", "--yes", "--state", str(file)).output
    assert file.read_text() == "kept"


@pytest.mark.parametrize(("answer", "deleted"), [("y\n", True), ("n\n", False), ("", False)])
def test_reset_asks_first(answer: str, deleted: bool, tmp_path: Path) -> None:
    state = made(tmp_path / "state")
    done = run("reset", "--state", str(state), stdin=answer)
    assert f"Delete {state}, with all data, keys and logs in it?" in done.output
    assert state.exists() is not deleted


def test_reset_by_a_link_deletes_the_folder_and_the_link(tmp_path: Path) -> None:
    state, link = made(tmp_path / "state"), tmp_path / "link"
    link.symlink_to(state)
    assert run("reset", "--yes", "--state", str(link)).exit_code == 0
    assert not state.exists()
    assert not link.is_symlink()


def test_reset_refuses_and_doctor_tells_while_a_process_of_a_killed_run_lives(tmp_path: Path) -> None:
    state = made(tmp_path / "state")
    write_record(state, {}, [find_process("postgres", os.getpid(), ())], None)
    done = run("reset", "--yes", "--state", str(state))
    assert done.exit_code == 1
    assert f"without a supervisor: postgres ({os.getpid()})" in done.output
    assert state.exists()
    ports = [f"{option_of(name)}={number}" for name, number in stack_ports().items()]
    findings = {
        finding["what"]: finding
        for finding in json.loads(run("doctor", "--json", *ports, "--state", str(state)).printed)
    }
    assert f"postgres ({os.getpid()})" in findings["processes"]["text"]
    assert not findings["processes"]["good"]


def test_a_folder_with_files_of_others_is_not_made_a_state_folder(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("kept")
    with pytest.raises(StackError, match="is not empty"):
        paths.prepare(tmp_path, OURSELVES)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_the_state_folder_is_found_from_a_folder_below_it(tmp_path: Path) -> None:
    below = tmp_path / "src" / "deep"
    below.mkdir(parents=True)
    assert nearest(below) is None
    state = made(tmp_path / ".tenantmesh")
    (tmp_path / "src" / ".tenantmesh").mkdir()  # a folder of this name that no stack has made
    assert nearest(below) == state
    nearer = made(below / ".tenantmesh")
    assert nearest(below) == nearer


def test_commands_use_the_folder_above_unless_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / ".tenantmesh")
    below = tmp_path / "src"
    below.mkdir()
    monkeypatch.chdir(below)
    monkeypatch.delenv("TENANTMESH_STATE", raising=False)
    assert "does not exist" in run("reset", "--yes", "--state", ".tenantmesh").output
    assert run("reset", "--yes").exit_code == 0
    assert not (tmp_path / ".tenantmesh").exists()


def test_reset_does_not_follow_a_link_that_no_stack_has_made(tmp_path: Path) -> None:
    state, precious = made_before_there_was_a_marker(tmp_path / "state"), tmp_path / "precious"
    (state / "data").rmdir()
    precious.mkdir()
    (state / "data").symlink_to(precious)
    (precious / "work.py").write_text("years of it")
    assert run("reset", "--yes", "--state", str(state)).exit_code == 0
    assert not state.exists()
    assert (precious / "work.py").read_text() == "years of it"
