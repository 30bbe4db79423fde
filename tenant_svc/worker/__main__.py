"""`python -m tenantmesh.tenant_svc.worker`: settings from the environment, then work until a signal."""

from __future__ import annotations

import sys

from pydantic import ValidationError
from pydantic_settings import SettingsError

from tenantmesh.chassis.jobs.process import run
from tenantmesh.chassis.jobs.settings import WorkerSettings
from tenantmesh.runtime.server import REFUSED
from tenantmesh.runtime.settings import wrong_settings
from tenantmesh.runtime.telemetry import setup
from tenantmesh.tenant_svc.worker.app import WorkerApp


def main() -> int:
    """Works, and returns the exit status."""
    try:
        settings = WorkerSettings()  # type: ignore[call-arg]  # pydantic reads the environment
    except (ValidationError, SettingsError) as error:
        sys.stderr.write(
            f"the worker refuses to start; correct these settings:\n{wrong_settings(error, WorkerSettings)}\n"
        )
        return REFUSED
    telemetry = setup(settings.telemetry, "tenant_worker")
    return run(WorkerApp(settings, telemetry), telemetry, settings.worker.grace)


if __name__ == "__main__":
    sys.exit(main())
