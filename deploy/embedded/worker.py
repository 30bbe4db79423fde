"""The worker as a program of a stack: its environment, and when it works."""

from __future__ import annotations

import http.client
import os
import sys
import time
from pathlib import Path

from tenantmesh.deploy.embedded.ports import LOOPBACK, Ports
from tenantmesh.deploy.embedded.postgres import Postgres
from tenantmesh.deploy.embedded.processes import Child, Program
from tenantmesh.deploy.embedded.valkey import Store

__all__ = ["NAME", "metrics_url", "program", "wait_working", "working"]

NAME = "tenant_worker"
_START_SECONDS = 60.0
_SIGNALS = ((15, 15.0),)
_DEFAULTS = {"TENANTMESH_WORKER_GRACE": "2", "TENANTMESH_TELEMETRY_LOG_FORMAT": "json"}
_NOT_FOR_IT = ("TENANTMESH_TOKENS_KEK_FILE", "TENANTMESH_DATABASE_SYSTEM_URL")


def metrics_url(ports: Ports) -> str:
    """Where it tells how it does: it has no other port."""
    return f"http://{LOOPBACK}:{ports.worker_metrics}/metrics"


def program(ports: Ports, postgres: Postgres, store: Store, log: Path) -> Program:
    """The worker as something to start. It gets what it needs to change tenants' rows and to take jobs, and no more."""
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_IT}
    fixed = {
        "TENANTMESH_MODE": "development",
        "TENANTMESH_DATABASE_URL": postgres.url("tenant_app").get_secret_value(),
        "TENANTMESH_WORKER_QUEUE_URL": postgres.url("tenant_worker").get_secret_value(),
        "TENANTMESH_REDIS_URL": store.url.get_secret_value(),
        "TENANTMESH_REDIS_CLUSTER": str(store.cluster).lower(),
        "TENANTMESH_TELEMETRY_METRICS_LISTEN": f"{LOOPBACK}:{ports.worker_metrics}",
    }
    argv = (sys.executable, "-P", "-m", "tenantmesh.tenant_svc.worker")
    return Program(NAME, argv, log, environment=_DEFAULTS | inherited | fixed, signals=_SIGNALS)


def wait_working(ports: Ports, child: Child) -> None:
    """Waits until the worker takes jobs. Raises EmbeddedError with its log's last line."""
    deadline = time.monotonic() + _START_SECONDS
    while not working(ports.worker_metrics):
        if child.ended():
            raise child.failure("did not start")
        if time.monotonic() > deadline:
            raise child.failure(f"did not work after {_START_SECONDS:.0f} s")
        time.sleep(0.02)


def working(port: int) -> bool:
    """Whether a worker has its metrics on that port, which it opens last."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=1.0)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        return answer.status == http.client.OK and b"tenantmesh_jobs_running" in answer.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
