"""`python -m tenantmesh.tenant_svc`: settings from the environment, then serve until a signal."""

from __future__ import annotations

import sys

from pydantic import ValidationError
from pydantic_settings import SettingsError

from tenantmesh.interceptors.links.telemetry import log_context
from tenantmesh.runtime.server import REFUSED, run
from tenantmesh.runtime.settings import wrong_settings
from tenantmesh.runtime.telemetry import setup
from tenantmesh.tenant_svc.app import build
from tenantmesh.tenant_svc.settings import TenantSettings


def main() -> int:
    """Serves, and returns the exit status."""
    try:
        settings = TenantSettings()  # type: ignore[call-arg]  # pydantic reads the environment
    except (ValidationError, SettingsError) as error:
        sys.stderr.write(
            f"tenant_svc refuses to start; correct these settings:\n{wrong_settings(error, TenantSettings)}\n"
        )
        return REFUSED
    telemetry = setup(settings.telemetry, "tenant_svc", log_context)
    return run(lambda _server: build(settings, telemetry), settings.server, telemetry)


if __name__ == "__main__":
    sys.exit(main())
