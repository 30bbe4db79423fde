"""The edge of a stack: it reaches every process of a service, and knows the origins whose pages may call."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from tenantmesh.deploy import cli
from tenantmesh.deploy.commands import dev
from tenantmesh.deploy.stack.programs import table
from tenantmesh.deploy.stack.programs.edge import EdgeProgram
from tenantmesh.deploy.stack.programs.program import Surroundings
from tests.edge.conftest import require_envoy

ORIGINS = ("http://localhost:5173", "https://*.example.com")
VARIABLE = "TENANTMESH_CORS_ORIGINS"


def configuration(folder: Path) -> dict[str, Any]:
    """What the edge of a stack is started with."""
    require_envoy()
    places = SimpleNamespace(state=folder, log=lambda name: folder / f"{name}.log")
    around = SimpleNamespace(ports=table.default_ports(), places=places, cors_origins=ORIGINS)
    edge = next(program for program in table.PROGRAMS if isinstance(program, EdgeProgram))
    edge.command(cast("Surroundings", around))
    written: dict[str, Any] = json.loads((folder / "envoy.json").read_text())
    return written


def ports_of(cluster: dict[str, Any]) -> list[int]:
    endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    return [each["endpoint"]["address"]["socket_address"]["port_value"] for each in endpoints]


def test_it_reaches_every_worker_of_a_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TENANTMESH_SERVER_WORKERS", "3")
    monkeypatch.setenv("TENANTMESH_SERVER_WORKER_PORT_STEP", "10")
    clusters = configuration(tmp_path)["static_resources"]["clusters"]
    assert {cluster["name"]: ports_of(cluster) for cluster in clusters} == {
        "tenant": [50051, 50061, 50071],
        "auth": [50052, 50062, 50072],
    }


def test_one_worker_has_one_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TENANTMESH_SERVER_WORKERS", raising=False)
    clusters = configuration(tmp_path)["static_resources"]["clusters"]
    assert [ports_of(cluster) for cluster in clusters] == [[50051], [50052]]


def test_the_origins_of_the_stack_reach_it(tmp_path: Path) -> None:
    assert "localhost\\\\:5173" in json.dumps(configuration(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "variable"),
    [(["--cors-origin", ORIGINS[0], "--cors-origin", ORIGINS[1]], ""), ([], " ".join(ORIGINS))],
)
def test_a_written_configuration_has_its_origins(arguments: list[str], variable: str, tmp_path: Path) -> None:
    output = tmp_path / "edge.json"
    environment = {VARIABLE: variable} if variable else {}
    done = CliRunner().invoke(cli.app, ["edge", "render", str(output), *arguments], env=environment)
    assert done.exit_code == 0, done.output
    written = output.read_text()
    assert "localhost\\\\:5173" in written
    assert "[a-z0-9-]+\\\\.example\\\\.com" in written


@pytest.mark.parametrize("origin", ["app.example.com", "https://app.example.com/", "*", "https://a b"])
def test_what_no_browser_sends_is_no_origin(origin: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["edge", "render", str(tmp_path / "edge.json"), "--cors-origin", origin])
    assert done.exit_code == 2
    assert "is no origin" in " ".join(done.output.split())


def test_dev_hands_the_origins_to_its_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: dict[str, Any] = {}

    class Stopped:
        """A stack that is asked to stop as soon as it starts."""

        places = SimpleNamespace(state=tmp_path)

        def __init__(self, _state: Path, **options: Any) -> None:
            given.update(options)

        def start(self) -> None:
            raise dev.StopRequested

        def close(self) -> None:
            """Do nothing: nothing runs."""

    monkeypatch.setattr(dev, "Stack", Stopped)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    done = CliRunner().invoke(cli.app, ["dev", "--state", str(tmp_path)], env={VARIABLE: " ".join(ORIGINS)})
    assert done.exit_code == 0, done.output
    assert tuple(given["cors_origins"]) == ORIGINS
