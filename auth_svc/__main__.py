"""`python -m tenantmesh.auth_svc`: settings from the environment, then serve until a signal."""

from __future__ import annotations

import sys

from tenantmesh.auth_svc.app import build
from tenantmesh.auth_svc.settings import AuthSettings
from tenantmesh.chassis.program import main
from tenantmesh.interceptors.logs import log_context
from tenantmesh.runtime.server import run
from tenantmesh.runtime.telemetry import setup


def serve(settings: AuthSettings) -> int:
    """Serve, and return the exit status."""
    telemetry = setup(settings.telemetry, "auth_svc", log_context)
    return run(lambda _server: build(settings, telemetry), settings.server, telemetry)


if __name__ == "__main__":
    sys.exit(main("auth_svc", AuthSettings, serve))
