"""The log of a command of the stack: bounded while the command runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tenantmesh.deploy.stack.supervision import command
from tenantmesh.deploy.stack.supervision.command import Command, spawn

SCRIPT = """
i=0; while [ $i -lt 200 ]; do echo "line $i"; i=$((i+1)); done
while [ ! -e go ]; do sleep 0.01; done
echo after; while [ ! -e end ]; do sleep 0.01; done
echo the end
"""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_long_log_is_put_aside_while_its_command_writes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LOG_BYTES", 1000)
    log, old = tmp_path / "part.log", tmp_path / "part.old.log"
    old.write_text("of an earlier time")
    child = spawn(Command("part", ("/bin/sh", "-c", SCRIPT), log, folder=tmp_path))
    try:
        until(lambda: log.read_text().endswith("line 199\n"))
        child.bound_log()
        assert old.read_text().splitlines() == [f"line {number}" for number in range(200)]
        assert (log.read_text(), log.stat().st_mode & 0o777) == ("", 0o600)
        (tmp_path / "go").touch()
        until(lambda: log.read_text() == "after\n")
        child.bound_log()
        assert log.read_text() == "after\n", "a short log stays"
        (tmp_path / "end").touch()
        until(child.ended)
    finally:
        child.process.end()
        child.popen.wait(10)
    assert "the end" in str(child.failure("has ended"))
