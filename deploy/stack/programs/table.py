"""The programs of the product: one row makes a process start, be supervised, be examined and be stopped.

The stack starts every row, `tenantmesh serve` runs one by its word, `tenantmesh dev` has an option for each port and a
line for each address, `tenantmesh doctor` looks at each, and the keys and migrations follow from the rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from tenantmesh.auth_svc.gauges.gauge import USERS
from tenantmesh.auth_svc.settings import AuthSettings
from tenantmesh.deploy.stack.ports import Port, PortNumbers, variables_of
from tenantmesh.deploy.stack.programs.edge import LIMITS_VARIABLE, ORIGINS_VARIABLE, EdgeProgram
from tenantmesh.deploy.stack.programs.environment import (
    database,
    directory,
    job_queue,
    mesh,
    proof_key,
    purger,
    redis,
    signing_key,
    tokens,
)
from tenantmesh.deploy.stack.programs.program import Program
from tenantmesh.deploy.stack.programs.python_program import PythonProgram
from tenantmesh.deploy.stack.programs.service import SERVICE_DEFAULTS, ServiceProgram, worker_steps
from tenantmesh.deploy.stack.programs.worker import WorkerProgram
from tenantmesh.deploy.stack.state_folder import STATE_VARIABLE
from tenantmesh.interceptors.caller import UsageScope
from tenantmesh.runtime.settings import variables
from tenantmesh.tenant_svc.settings import TenantSettings, TenantWorkerSettings

__all__ = [
    "LIBRARY_PERMISSIONS",
    "PROGRAMS",
    "any_ports",
    "check_ports",
    "command_line_variables",
    "default_ports",
    "known_variables",
    "ports",
    "python_programs",
    "waves",
]

_LIMITS = ("entitlements.read", "entitlements.watch", "quota.lease")
"""The permissions with which the chain of a service reads entitlements and leases allowances from tenant_svc."""

_TENANTS = ("tenants.read", "tenants.list", "tenants.resolve", "tenants.watch")

LIBRARY_PERMISSIONS = ("tenants.resolve", "tenants.watch", *_LIMITS)
"""The permissions that a service needs for the chain of the library, if its callers come with access tokens."""

PROGRAMS: tuple[Program, ...] = (
    EdgeProgram(
        name="edge",
        waits_for=("tenant_svc", "auth_svc"),
        listen=Port("edge", 8080, "REST, gRPC and gRPC-Web."),
        admin=Port("admin", 9901, "Envoy's metrics and state, for reading."),
    ),
    ServiceProgram(
        name="tenant_svc",
        module="tenantmesh.tenant_svc",
        word="tenant",
        reads=TenantSettings,
        listen=Port("tenant", 50051, "tenant_svc, gRPC."),
        health=Port("tenant_health", 50061, "tenant_svc, health, answered while it is busy."),
        metrics=Port("tenant_metrics", 9464, "tenant_svc, metrics."),
        role="tenant",
        migrates=True,
        # The tenants, entitlements and allowances are its own.
        permissions=("tokens.introspect", "tenant_data.read"),
        settings=(database, directory, redis, mesh, tokens),
        # Names such as acme.test, with which a developer tries it out.
        defaults={**SERVICE_DEFAULTS, "TENANTMESH_DOMAINS_ALLOW_RESERVED": "true"},
    ),
    ServiceProgram(
        name="auth_svc",
        module="tenantmesh.auth_svc",
        word="auth",
        reads=AuthSettings,
        listen=Port("auth", 50052, "auth_svc, gRPC."),
        health=Port("auth_health", 50062, "auth_svc, health, answered while it is busy."),
        metrics=Port("auth_metrics", 9465, "auth_svc, metrics."),
        role="auth",
        migrates=True,
        permissions=(*_TENANTS, *_LIMITS, "quota.gauges"),
        usage=UsageScope(meters=frozenset({"api_requests"}), gauges=frozenset({USERS})),
        settings=(database, directory, redis, mesh, tokens, signing_key, purger),
    ),
    WorkerProgram(
        name="tenant_worker",
        module="tenantmesh.tenant_svc.worker",
        word="worker",
        reads=TenantWorkerSettings,
        jobs="jobs such as plan changes",
        metrics=Port("worker_metrics", 9466, "The worker, metrics."),
        role="tenant",
        permissions=("tenant_data.read", "tenant_data.purge"),
        settings=(database, directory, job_queue, redis, mesh, purger, proof_key),
    ),
)
"""Every program, in the order in which people read of them. `waits_for` decides the order of their start."""


def python_programs() -> list[PythonProgram]:
    """Return the programs that are ours."""
    return [program for program in PROGRAMS if isinstance(program, PythonProgram)]


def ports() -> list[Port]:
    """Return every port of every program."""
    return [port for program in PROGRAMS for port in program.ports]


def default_ports() -> PortNumbers:
    """Return every port with its default number."""
    return PortNumbers({port.name: port.default for port in ports()})


def check_ports(numbers: PortNumbers) -> None:
    """Raise PortTakenError for all ports of a stack that can't be had, those of the further workers included."""
    steps = worker_steps()
    services = (program for program in PROGRAMS if isinstance(program, ServiceProgram))
    numbers.check({port.name: steps for program in services for port in program.ports})


def command_line_variables() -> frozenset[str]:
    """Return the variables that only the command line reads: those of its options."""
    return frozenset(
        {STATE_VARIABLE, ORIGINS_VARIABLE, LIMITS_VARIABLE}.union(*(variables_of(port.name) for port in ports()))
    )


def known_variables() -> frozenset[str]:
    """Return every variable that the command line or a program of ours reads."""
    return command_line_variables().union(*(variables(program.reads) for program in python_programs()))


def any_ports() -> PortNumbers:
    """Return every port with zero for its number: any free port, as tests want."""
    return PortNumbers({port.name: 0 for port in ports()})


def waves() -> Iterator[list[Program]]:
    """Yield the programs that may start together, and then those that wait for them.

    Raises LookupError when programs wait for each other, or for one that is not in the table.
    """
    waiting = list(PROGRAMS)
    started: set[str] = set()
    while waiting:
        wave = [program for program in waiting if started.issuperset(program.waits_for)]
        if not wave:
            raise LookupError(f"these programs can never start: {', '.join(program.name for program in waiting)}")
        yield wave
        started.update(program.name for program in wave)
        waiting = [program for program in waiting if program not in wave]
