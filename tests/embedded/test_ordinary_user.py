"""The engines as an ordinary user, seen from root, which is what tests usually are in a container."""

from __future__ import annotations

import itertools
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tenantmesh import deploy
from tenantmesh.deploy.stack.engine_user import EngineUser
from tenantmesh.deploy.stack.ports import is_free, option_of
from tenantmesh.deploy.stack.programs.edge import healthz
from tests.ports import stack_ports

NOBODY = pwd.getpwnam("nobody")
UNKNOWN_UID = 54321
SECONDS = 60
CHECKOUT = str(Path(deploy.__file__).resolve().parent.parent)
PACKAGES = [path for path in sys.path if path.endswith("site-packages")]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture(scope="module")
def python() -> Iterator[str]:
    """Our interpreter, or a copy of it when it lies in a closed home, as a version manager's does."""
    own = Path(sys.executable).resolve()
    other = EngineUser(NOBODY.pw_name, NOBODY.pw_uid, NOBODY.pw_gid, switch=True)
    if any(other.blocked_at(Path(path)) for path in (CHECKOUT, *PACKAGES)):
        told = "the checkout or its environment lies in a folder that is closed to ordinary users"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(told)
    if other.blocked_at(own.parent) is None:
        yield str(own)
        return
    with tempfile.TemporaryDirectory(prefix="tenantmesh-test-") as copy:
        Path(copy).chmod(0o755)
        (Path(copy) / "bin").mkdir()
        shutil.copy(own, Path(copy) / "bin" / own.name)
        library = Path("lib") / f"python{sys.version_info.major}.{sys.version_info.minor}"
        unneeded = shutil.ignore_patterns("site-packages", "test", "idlelib", "__pycache__", "*.a")
        shutil.copytree(Path(sys.base_prefix) / library, Path(copy) / library, ignore=unneeded)
        for shared in (Path(sys.base_prefix) / "lib").glob("libpython*.so*"):
            shutil.copy(shared, Path(copy) / "lib")
        yield str(Path(copy) / "bin" / own.name)


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="tenantmesh-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def run_host(python: str, folder: Path, uid: int, gid: int) -> subprocess.Popen[str]:
    return run_as(uid, gid, python, folder, "-m", "tests.embedded.host", str(folder / "state"))


def run_as(uid: int, gid: int, python: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    os.chown(folder, uid, gid)
    libraries = str(Path(python).parent.parent / "lib")
    return subprocess.Popen(
        [python, "-P", *arguments],
        user=uid,
        group=gid,
        extra_groups=[],
        cwd="/",
        env={
            "PATH": os.defpath,
            "LD_LIBRARY_PATH": libraries,
            "PYTHONPATH": ":".join([CHECKOUT, f"{CHECKOUT}/gen", *PACKAGES]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_everything_runs_as_that_user_in_the_users_own_folder(python: str, folder: Path) -> None:
    host = run_host(python, folder, NOBODY.pw_uid, NOBODY.pw_gid)
    try:
        assert host.stdout
        pids = json.loads(host.stdout.readline())
        assert pids["uid"] == NOBODY.pw_uid
        for name in ("postgres", "valkey"):
            assert Path(f"/proc/{pids[name]}").stat().st_uid == NOBODY.pw_uid
        assert (folder / "state" / "data" / "pg18").is_dir()
        assert (folder / "state").stat().st_mode & 0o777 == 0o700
    finally:
        host.terminate()
        host.communicate(timeout=SECONDS)


def test_the_whole_stack_runs_as_that_user(python: str, folder: Path) -> None:
    ports = stack_ports()
    numbers = [part for name, number in ports.items() for part in (option_of(name), str(number))]
    program = "from tenantmesh.deploy.cli import main; main()"
    arguments = ("-c", program, "dev", "--state", str(folder / "state"), *numbers)
    dev = run_as(NOBODY.pw_uid, NOBODY.pw_gid, python, folder, *arguments)
    try:
        assert dev.stdout
        lines = list(itertools.takewhile(lambda line: "Ctrl-C stops" not in line, dev.stdout))
        assert any("is running" in line for line in lines), lines
        assert healthz(f"http://127.0.0.1:{ports['edge']}") == 200
        parts = psutil.Process(dev.pid).children(recursive=True)
        assert {part.uids().real for part in parts} == {NOBODY.pw_uid}
    finally:
        dev.send_signal(signal.SIGINT)
        _, errors = dev.communicate(timeout=SECONDS)
    assert dev.returncode == 0, errors
    assert all(is_free(number) for number in ports.values())


def test_a_user_that_the_system_does_not_know_is_told_what_to_do(python: str, folder: Path) -> None:
    host = run_host(python, folder, UNKNOWN_UID, UNKNOWN_UID)
    out, errors = host.communicate(timeout=SECONDS)
    assert host.returncode == 1
    assert out == ""
    assert f"PostgreSQL can't run as user id {UNKNOWN_UID}" in errors
    assert "TENANTMESH_DATABASE_URL" in errors


def test_somebody_elses_state_folder_is_refused(python: str, folder: Path) -> None:
    (folder / "state").mkdir(mode=0o755)
    host = run_host(python, folder, NOBODY.pw_uid, NOBODY.pw_gid)
    _, errors = host.communicate(timeout=SECONDS)
    assert host.returncode == 1
    assert "belongs to user id 0, not to you" in errors
