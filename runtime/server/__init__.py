"""A gRPC server process: tuned, drained on a signal, its parts closed in reverse, several workers when asked.

    sys.exit(run(build, settings.server, telemetry))

`grpc_server` makes the server, `process` is its life, `workers` keeps several processes. Not here: what is served.
"""

from __future__ import annotations

from tenantmesh.runtime.server.application import Application
from tenantmesh.runtime.server.grpc_server import make_server
from tenantmesh.runtime.server.process import run
from tenantmesh.runtime.server.workers import REFUSED

__all__ = ["REFUSED", "Application", "make_server", "run"]
