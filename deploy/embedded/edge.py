"""Envoy as a program of a stack. Its configuration is made in `deploy.envoy`."""

from __future__ import annotations

import http.client
import os
import time
from pathlib import Path

from tenantmesh.deploy import envoy
from tenantmesh.deploy.embedded.errors import EmbeddedError
from tenantmesh.deploy.embedded.ports import LOOPBACK, Ports
from tenantmesh.deploy.embedded.processes import Child, Program

__all__ = ["healthz", "program", "wait_healthy"]

_START_SECONDS = 30.0


def program(ports: Ports, folder: Path, log: Path) -> Program:
    """Writes the configuration into `folder` and gives the program that serves it. There must be an Envoy."""
    settings = envoy.EdgeSettings(
        port=ports.edge,
        admin_port=ports.admin,
        tenant=(f"{LOOPBACK}:{ports.tenant}",),
        auth=(f"{LOOPBACK}:{ports.auth}",),
        reflection=True,
    )
    path = folder / "envoy.json"
    envoy.write(settings, path)
    argv = tuple(envoy.command(path, concurrency=min(2, os.cpu_count() or 1)))
    return Program("envoy", argv, log, environment={"PATH": os.defpath}, signals=((15, 5.0),))


def wait_healthy(ports: Ports, child: Child) -> None:
    """Waits until the edge says that both services serve. Raises EmbeddedError with its log's last line."""
    deadline = time.monotonic() + _START_SECONDS
    while (status := healthz(ports.edge)) != http.client.OK:
        if child.ended():
            raise child.failure("did not start")
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"the edge answers {status or 'nothing'} to GET /healthz after {_START_SECONDS:.0f} s.",
                remedy=f"Details: {child.program.log}",
                log=child.program.log,
            )
        time.sleep(0.02)


def healthz(port: int) -> int | None:
    """The status with which the edge answers GET /healthz. None: no answer."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=1.0)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
