"""The edge of a stack: it reaches every process of a service, and knows the origins whose pages may call."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from tenantmesh.deploy import cli
from tenantmesh.deploy.commands import dev
from tenantmesh.deploy.stack.ports import LOOPBACK
from tenantmesh.deploy.stack.programs import table
from tenantmesh.deploy.stack.programs.edge import EdgeProgram
from tenantmesh.deploy.stack.programs.program import Surroundings
from tenantmesh.deploy.stack.programs.service import ServiceProgram
from tests.edge.conftest import require_envoy

ORIGINS = ("http://localhost:5173", "https://*.example.com")
SERVICES = [program for program in table.PROGRAMS if isinstance(program, ServiceProgram)]
LIMITS = ("address_rate=321",)
VARIABLE = "TENANTMESH_CORS_ORIGINS"


def configuration(folder: Path) -> dict[str, Any]:
    """What the edge of a stack is started with."""
    require_envoy()
    socket = folder / "envoy.sock"
    places = SimpleNamespace(state=folder, edge_socket=socket, log=lambda name: folder / f"{name}.log")
    ports = table.default_ports()
    around = SimpleNamespace(ports=ports, places=places, cors_origins=ORIGINS, edge_limits=LIMITS)
    edge = next(program for program in table.PROGRAMS if isinstance(program, EdgeProgram))
    edge.command(cast("Surroundings", around))
    written: dict[str, Any] = json.loads((folder / "envoy.json").read_text())
    return written


def endpoints_of(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [each["endpoint"] for each in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]]


def ports_of(cluster: dict[str, Any]) -> list[int]:
    return [each["address"]["socket_address"]["port_value"] for each in endpoints_of(cluster)]


def health_ports_of(cluster: dict[str, Any]) -> list[int]:
    return [each["health_check_config"]["port_value"] for each in endpoints_of(cluster)]


def services(folder: Path) -> list[dict[str, Any]]:
    """The clusters of the services, without that of Envoy's own interface."""
    clusters = configuration(folder)["static_resources"]["clusters"]
    return [cluster for cluster in clusters if cluster["name"] != "admin"]


def test_it_reaches_every_worker_of_a_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TENANTMESH_SERVER_WORKERS", "3")
    monkeypatch.setenv("TENANTMESH_SERVER_WORKER_PORT_STEP", "20")
    clusters = services(tmp_path)
    assert {cluster["name"]: ports_of(cluster) for cluster in clusters} == {
        "tenant": [50051, 50071, 50091],
        "auth": [50052, 50072, 50092],
    }
    assert {cluster["name"]: health_ports_of(cluster) for cluster in clusters} == {
        "tenant": [50061, 50081, 50101],
        "auth": [50062, 50082, 50102],
    }


def test_one_worker_has_one_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TENANTMESH_SERVER_WORKERS", raising=False)
    clusters = services(tmp_path)
    assert [ports_of(cluster) for cluster in clusters] == [[50051], [50052]]


def test_its_limits_can_be_changed(tmp_path: Path) -> None:
    assert '"tokens_per_fill": 32' in json.dumps(configuration(tmp_path))


def test_services_believe_the_edge_alone(tmp_path: Path) -> None:
    (cluster, _) = services(tmp_path)
    address = cluster["upstream_bind_config"]["source_address"]["address"]
    believed = {program.defaults["TENANTMESH_MESH_TRUSTED_PROXIES"] for program in SERVICES}
    assert believed == {f"{address}/32"}
    assert (address == LOOPBACK) == (sys.platform != "linux")  # other systems have one loopback address


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
