"""docs/reference/metrics.md explains every metric of every process, and no other: compared with their registries."""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tenantmesh.auth_svc.app import build as build_auth
from tenantmesh.auth_svc.settings import AuthSettings
from tenantmesh.deploy.stack.programs.table import python_programs
from tenantmesh.runtime.health import Pulse, watch_metrics
from tenantmesh.runtime.server import Application
from tenantmesh.runtime.server.health_server import loop_stillness
from tenantmesh.runtime.settings import ProcessSettings
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.tenant_svc.app import build as build_tenant
from tenantmesh.tenant_svc.settings import TenantSettings, TenantWorkerSettings
from tenantmesh.tenant_svc.worker.app import WorkerApp

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md").read_text()
ROWS = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
PLACE = "postgresql://nobody@127.0.0.1:1/nothing"


async def build_worker(settings: TenantWorkerSettings, telemetry: Telemetry) -> WorkerApp:
    return WorkerApp(settings, telemetry)


Process = tuple[type[ProcessSettings], Callable[..., Awaitable[Application | WorkerApp]]]
PROCESSES: dict[str, Process] = {
    "tenant_svc": (TenantSettings, build_tenant),
    "auth_svc": (AuthSettings, build_auth),
    "tenant_worker": (TenantWorkerSettings, build_worker),
}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Settings with which each process can be made; nothing listens there, and nothing is started."""
    for name in ("DATABASE_URL", "DATABASE_SYSTEM_URL", "WORKER_QUEUE_URL"):
        monkeypatch.setenv(f"TENANTMESH_{name}", PLACE)
    monkeypatch.setenv("TENANTMESH_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("TENANTMESH_MESH_CREDENTIAL", "tmk_0000000000000000")
    return monkeypatch


def test_every_process_is_examined() -> None:
    assert set(PROCESSES) == {program.name for program in python_programs()}


async def metrics_of(process: str, tmp_path: Path, environment: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """The names of the process's metrics, each with the values of its label `event`."""
    if process == "auth_svc":  # the others refuse to be given it
        kek = tmp_path / "kek"
        kek.touch(mode=0o600)
        kek.write_bytes(base64.b64encode(bytes(range(32))))
        environment.setenv("TENANTMESH_TOKENS_KEK_FILE", str(kek))
    settings, make = PROCESSES[process]
    made = settings()
    telemetry = Telemetry(made.telemetry, process)
    telemetry.record_call("/a.B/C", "OK", 0.001)
    app = await make(made, telemetry)
    try:
        families = list(telemetry.registry.collect())
    finally:
        await app.close()
    return {each.name: {sample.labels.get("event", "") for sample in each.samples} - {""} for each in families}


@pytest.mark.parametrize("process", PROCESSES)
async def test_every_metric_of_a_process_is_documented(
    process: str, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    rows = {name: row for row in ROWS.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    metrics = await metrics_of(process, tmp_path, environment)
    missing = {name: events for name, events in metrics.items() if name not in rows}
    assert not missing, "say in docs/reference/metrics.md what they mean"
    unsaid = {name: {each for each in events if f"`{each}`" not in rows[name]} for name, events in metrics.items()}
    assert not any(unsaid.values()), "say in docs/reference/metrics.md what these events are"


async def test_every_documented_metric_exists(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    # Those of every server process, and of every one with a health port.
    exist: set[str] = {loop_stillness(Pulse()).name, *(each.name for each in watch_metrics({}))}
    for process in PROCESSES:
        exist |= set(await metrics_of(process, tmp_path, environment))
        environment.delenv("TENANTMESH_TOKENS_KEK_FILE", raising=False)
    documented = set(re.findall(r"`(tenantmesh_\w+)`", ROWS))
    assert documented == {name for name in exist if name.startswith("tenantmesh_")}
