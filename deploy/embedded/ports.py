"""The ports of a stack on this machine's loopback interface, and who holds one that is taken."""

from __future__ import annotations

import dataclasses
import errno
import secrets
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import psutil

from tenantmesh.deploy.embedded.errors import PortTakenError

__all__ = ["LOOPBACK", "NAMES", "Ports", "free", "is_free"]

_ANY = range(20_000, 32_000)  # below what Linux and macOS take for outgoing connections
LOOPBACK = "127.0.0.1"
NAMES = {
    "edge": "EDGE_PORT",
    "tenant": "TENANT_PORT",
    "auth": "AUTH_PORT",
    "admin": "ADMIN_PORT",
    "tenant_metrics": "TENANT_METRICS_PORT",
    "auth_metrics": "AUTH_METRICS_PORT",
    "worker_metrics": "WORKER_METRICS_PORT",
}
"""Field of `Ports` → the variable that sets it, for make and the environment."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each part listens. Zero means: any free port."""

    edge: int = 8080
    tenant: int = 50051
    auth: int = 50052
    admin: int = 9901
    tenant_metrics: int = 9464
    auth_metrics: int = 9465
    worker_metrics: int = 9466

    @classmethod
    def any(cls) -> Ports:
        """Free ports for everything, as tests want."""
        return cls(**dict.fromkeys(NAMES, 0))

    def settled(self) -> Ports:
        """The same with each zero replaced by a port that is free now."""
        asked = dataclasses.asdict(self)
        return Ports(**dict(zip(asked, _settle(tuple(asked.values())), strict=True)))

    def check(self) -> None:
        """Raises PortTakenError, which says who holds the port and how to choose another, unless all are free."""
        for field, variable in NAMES.items():
            port = getattr(self, field)
            if not is_free(port):
                raise PortTakenError(
                    f"port {port} is in use{_holder(port)}.",
                    remedy=f"Choose another: make run {variable}={_free_after(port)}"
                    f" (or tenantmesh dev --{field.replace('_', '-')}-port …)",
                )


def free(count: int, among: range = _ANY) -> tuple[int, ...]:
    """So many ports that are free now, each another."""
    return tuple(_settle((0,) * count, among))


def is_free(port: int) -> bool:
    """Whether nobody listens on the port of the loopback interface, on IPv4 or on every address."""
    with closing(socket.socket()) as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return False
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended don't count
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error.errno not in {errno.EADDRINUSE, errno.EACCES}
    return True


def _settle(ports: tuple[int, ...], among: range = _ANY) -> Iterator[int]:
    """Holds the sockets until all are chosen, so that no port is chosen twice."""
    held = []
    try:
        for port in ports:
            if port:
                yield port
                continue
            held.append(_any_listener(among))
            yield int(held[-1].getsockname()[1])
    finally:
        for listener in held:
            listener.close()


def _any_listener(among: range) -> socket.socket:
    """A listener on some port that the system will not give to an outgoing connection before we use it."""
    while True:
        try:
            return socket.create_server((LOOPBACK, secrets.choice(among)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise


def _holder(port: int) -> str:
    """Who listens, as far as this user may know."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return ""
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
        if listens and connection.pid:
            try:
                return f" by pid {connection.pid} ({psutil.Process(connection.pid).name()})"
            except psutil.NoSuchProcess:
                return ""
    return ""


def _free_after(port: int) -> int:
    """A port that a person will find near the one that was asked for."""
    return next((near for near in range(port + 10, port + 200, 10) if is_free(near)), port + 10)
