"""The targets for users in the Makefile, without installing anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tenantmesh.deploy.stack.ports import variable_of
from tenantmesh.deploy.stack.programs import table

ROOT = Path(__file__).resolve().parents[3]
MAKE = shutil.which("make") or "make"


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment of this Python, made a while ago."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    for name in ("python.stamp", "run.stamp"):
        (venv / name).touch()
    return venv


def script(path: Path, text: str) -> Path:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def make(venv: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHON", "MAKEFLAGS"}} | variables
    return subprocess.run(
        [MAKE, f"VENV={venv}", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_another_python_makes_another_environment_and_the_same_does_not(venv: Path) -> None:
    other = script(venv.parent / "python9", "echo /opt/python9")
    assert f"{other} -m venv --clear {venv}" in make(venv, "-n", "setup", f"PYTHON={other}").stdout
    assert f"{other} -m venv --clear {venv}" in make(venv, "-n", "setup", PYTHON=str(other)).stdout
    assert "-m venv" not in make(venv, "-n", "setup", f"PYTHON={sys.executable}").stdout
    assert "-m venv" not in make(venv, "-n", "setup").stdout


def test_a_python_that_does_not_exist_is_refused_although_there_is_an_environment(venv: Path) -> None:
    done = make(venv, "setup", "PYTHON=python-of-nobody")
    assert done.returncode != 0
    assert "tenantmesh needs Python 3.11 or newer" in done.stdout


def test_packages_that_cannot_be_fetched_are_a_sentence_of_ours(venv: Path) -> None:
    (venv / "run.stamp").unlink()
    script(venv / "bin" / "python", "echo 'No matching distribution' >&2; exit 1")
    done = make(venv, "setup")
    assert done.returncode != 0
    assert "No matching distribution" in done.stderr
    assert "tenantmesh: the packages could not be installed" in done.stdout
    assert "PIP_FIND_LINKS" in done.stdout
    assert not (venv / "run.stamp").exists()


def test_reset_asks_unless_told_not_to_and_deletes_nothing_itself(venv: Path) -> None:
    done = make(venv, "reset")
    assert done.returncode != 0
    assert "make setup" in done.stdout
    script(venv / "bin" / "tenantmesh", 'echo "called: $*"')
    assert "called: reset\n" in make(venv, "reset").stdout
    assert "called: reset --yes\n" in make(venv, "reset", "YES=1").stdout


@pytest.mark.parametrize("target", ["run", "doctor"])
def test_every_port_can_be_given_to_make(venv: Path, target: str) -> None:
    script(venv / "bin" / "tenantmesh", "env")
    names = [variable_of(port.name) for port in table.ports()]
    done = make(venv, target, *(f"{name}={29_000 + at}" for at, name in enumerate(names)))
    for at, name in enumerate(names):
        assert f"TENANTMESH_{name}={29_000 + at}\n" in done.stdout
