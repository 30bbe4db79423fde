"""A worker: a program of ours that takes jobs and answers no calls. Its metrics say whether it works."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit

from tenantmesh.deploy.stack.ports import LOOPBACK, PortNumbers
from tenantmesh.deploy.stack.programs.program import AddressLine, ProgramState
from tenantmesh.deploy.stack.programs.python_program import PythonProgram

__all__ = ["WorkerProgram", "working"]

_PROBE_SECONDS = 1.0
_METRIC = b"tenantmesh_jobs_running"
_DEFAULTS = MappingProxyType({"TENANTMESH_WORKER_GRACE": "2", "TENANTMESH_TELEMETRY_LOG_FORMAT": "json"})


@dataclass(frozen=True, kw_only=True)
class WorkerProgram(PythonProgram):
    """One of our workers."""

    jobs: str
    """The work that it does, for its line at the start."""

    defaults: Mapping[str, str] = field(default_factory=lambda: _DEFAULTS)

    def detail(self, ports: PortNumbers) -> str:
        """Return the work that it does."""
        del ports
        return self.jobs

    def address(self, ports: PortNumbers) -> str:
        """Return the URL of its metrics: it has no other port."""
        return f"http://{LOOPBACK}:{ports[self.metrics.name]}/metrics"

    def address_lines(self, ports: PortNumbers) -> list[AddressLine]:
        """Return a line without an address."""
        del ports
        return [(self.name, "", "works on jobs, serves no calls")]

    def examine(self, address: str) -> ProgramState:
        """Read its metrics."""
        up = working(address)
        return ProgramState(up, "works on jobs" if up else "does not work")


def working(url: str) -> bool:
    """Return whether a worker has its metrics at this URL. It opens that port last."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or LOOPBACK, place.port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", place.path)
        answer = connection.getresponse()
        return answer.status == http.client.OK and _METRIC in answer.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
