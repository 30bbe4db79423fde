"""`tenantmesh dev`: the whole product on this machine until Ctrl-C."""

from __future__ import annotations

import importlib.metadata
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

from tenantmesh.deploy.commands.console import PRODUCT, Console
from tenantmesh.deploy.commands.options import DEFAULT_STATE, StateOption, port_option, shown
from tenantmesh.deploy.embedded.ports import LOOPBACK, Ports
from tenantmesh.deploy.embedded.stack import Stack

__all__ = ["StopRequested", "dev"]

_WATCH_SECONDS = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DEFAULT = Ports()


class StopRequested(BaseException):
    """Somebody wants the stack to end. No Exception, so that nothing on the way takes it for a failure."""


def dev(
    state: StateOption = DEFAULT_STATE,
    edge_port: Annotated[int, port_option("edge", "REST, gRPC and gRPC-Web.")] = _DEFAULT.edge,
    tenant_port: Annotated[int, port_option("tenant", "tenant_svc, gRPC.")] = _DEFAULT.tenant,
    auth_port: Annotated[int, port_option("auth", "auth_svc, gRPC.")] = _DEFAULT.auth,
    admin_port: Annotated[int, port_option("admin", "Envoy's admin interface.")] = _DEFAULT.admin,
    tenant_metrics_port: Annotated[
        int, port_option("tenant-metrics", "tenant_svc, metrics.")
    ] = _DEFAULT.tenant_metrics,
    auth_metrics_port: Annotated[int, port_option("auth-metrics", "auth_svc, metrics.")] = _DEFAULT.auth_metrics,
    worker_metrics_port: Annotated[
        int, port_option("worker-metrics", "The worker, metrics.")
    ] = _DEFAULT.worker_metrics,
) -> None:
    """Start PostgreSQL, Valkey, both services, the worker and Envoy, and keep them running until Ctrl-C."""
    console = Console()
    ports = Ports(
        edge_port, tenant_port, auth_port, admin_port, tenant_metrics_port, auth_metrics_port, worker_metrics_port
    )
    for number in _SIGNALS:
        signal.signal(number, _request_stop)
    stack = Stack(state, ports=ports, progress=console)
    try:
        stack.start()
        _welcome(console, stack)
        while True:
            stack.watch()
            time.sleep(_WATCH_SECONDS)
    except StopRequested:
        begun = time.monotonic()
        stack.close()
        console.note(f"stopped in {time.monotonic() - begun:.1f}s, data kept in {shown(stack.places.state)}")
    finally:
        stack.close()


def _request_stop(_number: int, _frame: FrameType | None) -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # stopping has begun and takes seconds at most
    raise StopRequested


def _welcome(console: Console, stack: Stack) -> None:
    console.plain()
    console.title(f"{PRODUCT} {importlib.metadata.version(PRODUCT)} is running - development mode, not for production")
    console.plain()
    for what, where, remark in _addresses(stack):
        console.plain(f"  {what:<14}{where:<34}{remark}".rstrip())
    console.plain()
    console.plain("  try:")
    for command in first_commands(stack):
        console.plain(f"    {command}")
    console.plain()
    console.plain("Ctrl-C stops everything.")


def _addresses(stack: Stack) -> list[tuple[str, str, str]]:
    ports, places = stack.ports, stack.places
    edge = [
        ("edge", stack.edge_url, "REST, gRPC and gRPC-Web"),
        ("envoy admin", f"http://{LOOPBACK}:{ports.admin}", ""),
    ]
    return [
        *(edge if stack.has_edge else []),
        ("tenant_svc", f"{LOOPBACK}:{ports.tenant}", "gRPC, plaintext, reflection on"),
        ("auth_svc", f"{LOOPBACK}:{ports.auth}", "gRPC, plaintext, reflection on"),
        ("tenant_worker", "", "works on jobs, serves no calls"),
        (
            "metrics",
            f"http://{LOOPBACK}:{ports.tenant_metrics}/metrics",
            f"auth_svc: port {ports.auth_metrics}, tenant_worker: {ports.worker_metrics}",
        ),
        ("operator key", shown(places.operator_key), "only you can read it"),
        ("data", shown(places.data), "kept between runs; `make reset` deletes it"),
        ("logs", shown(places.logs), ""),
    ]


def first_commands(stack: Stack) -> list[str]:
    """What a newcomer can paste."""
    bearer = f'-H "authorization: Bearer $(cat {shown(stack.places.operator_key)})"'
    json = "-H 'content-type: application/json'"
    rest = [
        f'curl -s {stack.edge_url}/api/v1/tenants/create {bearer} {json} -d \'{{"slug": "acme"}}\'',
        f"curl -s {stack.edge_url}/api/v1/tenants/acme {bearer}",
    ]
    target = f"{LOOPBACK}:{stack.ports.edge if stack.has_edge else stack.ports.tenant}"
    return [
        *(rest if stack.has_edge else []),
        f"grpcurl -plaintext {bearer} {target} tenantmesh.tenant.v1.TenantService/ListTenants",
        f"{shown(Path(sys.argv[0]))} demo",
    ]
