"""What kill -9 leaves behind: nothing that runs, and a folder that the next start can use."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.supervision.record import running

START_SECONDS = 30
END_SECONDS = 20
PR_SET_CHILD_SUBREAPER = 36


class Host:
    """Engines in a process of their own."""

    def __init__(self, state: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.embedded.host", str(state)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.pids: dict[str, int] = json.loads(self.process.stdout.readline())
        self.process.stdout.close()
        self.watchdog = next(
            child for child in psutil.Process(self.process.pid).children() if "watchdog" in str(child.cmdline())
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path / "state")
    yield host
    host.kill()
    eventually(lambda: not alive(host.watchdog.pid))
    with contextlib.suppress(Exception):
        engines = Engines(tmp_path / "state", temporary=True)
        engines.open()
        engines.close()


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + END_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_killed_supervisor_leaves_nothing_running_and_the_next_start_works(host: Host, tmp_path: Path) -> None:
    with redis.Redis.from_url(Engines(tmp_path / "state").valkey.url.get_secret_value()) as client:
        client.set("kept", "1")
    Engines(tmp_path / "state").postgres.sql("CREATE TABLE kept AS SELECT 1", "tenantmesh")
    host.kill()
    eventually(lambda: not any(alive(host.pids[name]) for name in ("postgres", "valkey")))
    with Engines(tmp_path / "state") as engines:
        assert engines.postgres.sql("SELECT * FROM kept", "tenantmesh") == "1"
        assert redis.Redis.from_url(engines.valkey.url.get_secret_value()).get("kept") == b"1"


def test_with_the_watchdog_killed_too_the_next_start_ends_what_is_left(host: Host, tmp_path: Path) -> None:
    host.watchdog.kill()
    host.kill()
    assert alive(host.pids["postgres"])
    assert alive(host.pids["valkey"])
    engines = Engines(tmp_path / "state")
    try:
        assert engines.open() == ["postgres", "valkey"]
        assert not any(alive(host.pids[name]) for name in ("postgres", "valkey"))
    finally:
        engines.close()
    with Engines(tmp_path / "state") as again:
        assert again.postgres.sql("SELECT 1") == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
def test_locks_of_a_zombie_do_not_block_the_next_start(host: Host, tmp_path: Path) -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans become ours, and we don't collect them
    try:
        host.watchdog.kill()
        host.kill()
        os.kill(host.pids["postgres"], signal.SIGKILL)
        eventually(lambda: psutil.Process(host.pids["postgres"]).status() == psutil.STATUS_ZOMBIE)
        with Engines(tmp_path / "state") as engines:
            assert psutil.Process(host.pids["postgres"]).status() == psutil.STATUS_ZOMBIE
            assert engines.postgres.sql("SELECT 1") == "1"
    finally:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        collect_orphans()


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_a_killed_engine_is_started_again(tmp_path: Path, name: str) -> None:
    with Engines(tmp_path / "state", temporary=True) as engines:
        child = engines.postgres.child if name == "postgres" else engines.valkey.child
        assert child
        os.kill(child.process.pid, signal.SIGKILL)
        notes: list[str] = []

        def started_again() -> bool:
            engines.watch(notes.append)
            return bool(notes)

        eventually(started_again)
        assert notes == [f"{name} ended by itself; starting it again"]
        assert engines.postgres.sql("SELECT 1") == "1"
        assert redis.Redis.from_url(engines.valkey.url.get_secret_value()).ping() is True


def test_a_killed_watchdog_is_replaced_and_the_new_one_ends_everything(host: Host, tmp_path: Path) -> None:
    host.watchdog.kill()
    eventually(lambda: watchdog_of(tmp_path / "state") not in {None, host.watchdog.pid})
    host.watchdog = psutil.Process(watchdog_of(tmp_path / "state"))
    assert all(alive(host.pids[name]) for name in ("postgres", "valkey"))
    host.kill()
    eventually(lambda: not any(alive(host.pids[name]) for name in ("postgres", "valkey")))


def watchdog_of(state: Path) -> int | None:
    holder = running(state)
    return holder.watchdog if holder else None


def test_without_a_watchdog_a_stop_still_stops_everything(tmp_path: Path) -> None:
    with Engines(tmp_path / "state", temporary=True) as engines:
        children = [child.process for child in engines.supervisor.children]
        watchdog = next(each for each in psutil.Process().children() if each.pid == watchdog_of(engines.places.state))
        watchdog.kill()
        watchdog.wait(END_SECONDS)
        assert watchdog_of(engines.places.state) is None
    assert len(children) == 2
    assert not any(child.alive() for child in children)


def test_a_server_that_cannot_start_is_quoted_with_its_cause_and_not_with_its_last_line(tmp_path: Path) -> None:
    with Engines(tmp_path / "state", temporary=True) as engines:
        engines.postgres.stop()
        for segment in (engines.postgres.data / "pg_wal").glob("0*"):
            segment.unlink()
        with pytest.raises(StackError, match=r"postgres did not start: PANIC: .*checkpoint record"):
            engines.postgres.start()
        last = engines.places.log("postgres").read_text().splitlines()[-1]
        assert last.endswith("database system is shut down")


def test_a_first_start_cut_short_is_begun_anew(tmp_path: Path) -> None:
    state = tmp_path / "state"
    draft = Engines(state).places.data / "pg18.new"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18")
    with Engines(state, temporary=True) as engines:
        assert engines.postgres.sql("SELECT 1") == "1"
        assert not draft.exists()


def collect_orphans() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
