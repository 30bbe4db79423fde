"""`python -m tenantmesh.tenant_svc.worker`: settings from the environment, then work until a signal."""

from __future__ import annotations

import sys

from tenantmesh.chassis.jobs.process import run
from tenantmesh.chassis.program import main
from tenantmesh.runtime.telemetry import setup
from tenantmesh.tenant_svc.settings import TenantWorkerSettings
from tenantmesh.tenant_svc.worker.app import WorkerApp


def work(settings: TenantWorkerSettings) -> int:
    """Work, and return the exit status."""
    telemetry = setup(settings.telemetry, "tenant_worker")
    return run(WorkerApp(settings, telemetry), telemetry, settings.worker.grace)


if __name__ == "__main__":
    sys.exit(main("the worker", TenantWorkerSettings, work))
