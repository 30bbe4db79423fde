"""The wiring of gauges: the levels of tenants, and the relay that reports them to tenant_svc."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from tenantmesh.auth_svc.gauges import tables
from tenantmesh.auth_svc.gauges.outbox import GaugeOutbox
from tenantmesh.auth_svc.gauges.reports import GrpcGaugeReports
from tenantmesh.auth_svc.resources import AuthResources
from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.chassis.chain import mesh_tls
from tenantmesh.chassis.lifecycle import Part
from tenantmesh.chassis.outbox import Relay
from tenantmesh.interceptors.client import Credential, channel

__all__ = ["PART", "build"]

REPORT_INTERVAL = timedelta(seconds=5)
"""The interval at which a process looks for levels that other processes left unreported."""
REPORT_DELAY = timedelta(milliseconds=100)
"""From a registration to its report, on average. Only a new address changes a level: a report beside the answer would
tell by its work that the address was new."""
PART = TenantPart(
    tables=(tables.gauges,), not_exported={"gauges": "an import counts the levels of the rows that it brings"}
)


@dataclass(frozen=True, kw_only=True)
class GaugesCapability(Capability):
    """`level_changed` reports changed levels at once."""

    level_changed: Callable[[], None]


def build(resources: AuthResources) -> GaugesCapability:
    """Build the capability."""
    settings = resources.settings
    credential = Credential(settings.mesh.credential.get_secret_value())
    target = channel(
        settings.mesh.tenant_target, credential=credential, tls=mesh_tls(settings), tracer=resources.tracer
    )
    reports = GrpcGaugeReports(target)
    relay = Relay("gauge-reports", GaugeOutbox(resources.doors), reports, interval=REPORT_INTERVAL, delay=REPORT_DELAY)
    return GaugesCapability(
        name="gauges", background=[Part(close=reports.close), relay], part=PART, level_changed=relay.wake
    )
