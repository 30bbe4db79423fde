"""`python -m tenantmesh.auth_svc`: settings from the environment, then serve until a signal."""

from __future__ import annotations

import sys

from pydantic import ValidationError
from pydantic_settings import SettingsError

from tenantmesh.auth_svc.app import build
from tenantmesh.auth_svc.settings import AuthSettings
from tenantmesh.interceptors.links.telemetry import log_context
from tenantmesh.runtime.server import REFUSED, run
from tenantmesh.runtime.settings import wrong_settings
from tenantmesh.runtime.telemetry import setup


def main() -> int:
    """Serves, and returns the exit status."""
    try:
        settings = AuthSettings()  # type: ignore[call-arg]  # pydantic reads the environment
    except (ValidationError, SettingsError) as error:
        wrong = wrong_settings(error, AuthSettings)
        sys.stderr.write(f"auth_svc refuses to start; correct these settings:\n{wrong}\n")
        return REFUSED
    telemetry = setup(settings.telemetry, "auth_svc", log_context)
    return run(lambda _server: build(settings, telemetry), settings.server, telemetry)


if __name__ == "__main__":
    sys.exit(main())
