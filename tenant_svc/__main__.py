"""`python -m tenant_svc`: settings from the environment, then serve until a signal."""

from __future__ import annotations

import sys

from pydantic import ValidationError
from pydantic_settings import SettingsError

from runtime.server import REFUSED, run
from runtime.settings import ENVIRONMENT_PREFIX
from runtime.telemetry import setup
from tenant_svc.app import build
from tenant_svc.settings import TenantSettings
from tenant_svc.telemetry import log_context


def main() -> int:
    """Serves, and returns the exit status."""
    try:
        settings = TenantSettings()  # type: ignore[call-arg]  # pydantic reads the environment
    except (ValidationError, SettingsError) as error:
        sys.stderr.write(f"tenant_svc refuses to start; correct these settings:\n{_wrong_settings(error)}\n")
        return REFUSED
    telemetry = setup(settings.telemetry, "tenant_svc", log_context)
    return run(lambda _server: build(settings, telemetry), settings.server, telemetry)


def _wrong_settings(error: ValidationError | SettingsError) -> str:
    """One line per setting, by its name in the environment and without its value."""
    if isinstance(error, SettingsError):
        return f"  {error}"
    lines = [
        f"  {ENVIRONMENT_PREFIX}{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
