"""`tenantmesh dev`: the whole product on this machine until Ctrl-C."""

from __future__ import annotations

import importlib.metadata
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from tenantmesh.deploy.commands.console import PRODUCT, Console
from tenantmesh.deploy.commands.limits import LimitsOption
from tenantmesh.deploy.commands.options import DEFAULT_STATE, StateOption, port_options, shown
from tenantmesh.deploy.commands.origins import OriginsOption
from tenantmesh.deploy.stack.ports import LOOPBACK, PortNumbers
from tenantmesh.deploy.stack.programs.program import AddressLine
from tenantmesh.deploy.stack.programs.python_program import PythonProgram
from tenantmesh.deploy.stack.stack import Stack

__all__ = ["StopRequested", "dev", "first_commands"]

_WATCH_SECONDS = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(BaseException):
    """A signal asked the stack to end. It is no Exception, so that no handler takes it for a failure."""


@port_options
def dev(
    *,
    state: StateOption = DEFAULT_STATE,
    cors_origin: OriginsOption = None,
    edge_limit: LimitsOption = None,
    ports: PortNumbers,
) -> None:
    """Start PostgreSQL, Valkey, both services, the worker and Envoy, and keep them running until Ctrl-C."""
    console = Console()
    for number in _SIGNALS:
        signal.signal(number, _request_stop)
    stack = Stack(state, ports=ports, progress=console, cors_origins=cors_origin or (), edge_limits=edge_limit or ())
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
        console.plain(f"  {what:<13} {where:<33} {remark}".rstrip())
    console.plain()
    console.plain("  try:")
    for command in first_commands(stack):
        console.plain(f"    {command}")
    console.plain()
    console.plain("Ctrl-C stops everything.")


def _addresses(stack: Stack) -> list[AddressLine]:
    places = stack.places
    return [
        *(line for program in stack.programs for line in program.address_lines(stack.ports)),
        *_metrics(stack),
        ("operator key", shown(places.operator_key), "only you can read it"),
        ("data", shown(places.data), "kept between runs; `make reset` deletes it"),
        ("logs", shown(places.logs), ""),
    ]


def _metrics(stack: Stack) -> list[AddressLine]:
    """Return a line with the first program's metrics, and beside it the ports of the others."""
    ours = (program for program in stack.programs if isinstance(program, PythonProgram))
    (_, first), *others = [(program.name, stack.ports[program.metrics.name]) for program in ours]
    url = f"http://{LOOPBACK}:{first}/metrics"
    return [("metrics", url, ", ".join(f"{name}: port {number}" for name, number in others))]


def first_commands(stack: Stack) -> list[str]:
    """Return commands that a newcomer can paste."""
    bearer = f'-H "authorization: Bearer $(cat {shown(stack.places.operator_key)})"'
    json = "-H 'content-type: application/json'"
    rest = []
    if stack.has_edge:
        rest = [
            f'curl -s {stack.edge_url}/api/v1/tenants/create {bearer} {json} -d \'{{"slug": "acme"}}\'',
            f"curl -s {stack.edge_url}/api/v1/tenants/acme {bearer}",
        ]
    target = f"{LOOPBACK}:{stack.ports['edge' if stack.has_edge else 'tenant']}"
    return [
        *rest,
        f"grpcurl -plaintext {bearer} {target} tenantmesh.tenant.v1.TenantService/ListTenants",
        f"{shown(Path(sys.argv[0]))} demo",
    ]
