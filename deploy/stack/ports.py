"""The ports of a stack on this machine's loopback interface, and who holds one that is taken."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import psutil

from tenantmesh.deploy.stack.errors import PortTakenError

__all__ = ["LOOPBACK", "Port", "PortNumbers", "free", "is_free", "option_of", "variable_of"]

_ANY = range(20_000, 32_000)  # below what Linux and macOS take for outgoing connections
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Port:
    """A port on which a program listens: its name, its default number, and its help text."""

    name: str
    default: int
    about: str


class PortNumbers(Mapping[str, int]):
    """The number of each port of a stack, by its name. Zero stands for any free port."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self._numbers = dict(numbers)

    def __getitem__(self, name: str) -> int:
        return self._numbers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def settled(self) -> PortNumbers:
        """Return the same ports with each zero replaced by a port that is free now."""
        return PortNumbers(dict(zip(self, _settle(tuple(self.values())), strict=True)))

    def check(self) -> None:
        """Raise PortTakenError for the first port that is not free. It names the holder and how to choose another."""
        for name, number in self.items():
            if not is_free(number):
                raise PortTakenError(
                    f"port {number} is in use{_holder(number)}.",
                    remedy=f"Choose another: make run {variable_of(name)}={_free_after(number)}"
                    f" (or tenantmesh dev {option_of(name)} …)",
                )


def option_of(name: str) -> str:
    """Return the command-line option that sets the port with this name."""
    return f"--{name.replace('_', '-')}-port"


def variable_of(name: str) -> str:
    """Return the variable that sets the port for make. In the environment it may begin with TENANTMESH_."""
    return f"{name.upper()}_PORT"


def free(count: int, among: range = _ANY) -> tuple[int, ...]:
    """Return so many different ports that are free now."""
    return tuple(_settle((0,) * count, among))


def is_free(port: int) -> bool:
    """Return whether nobody listens on the port of the loopback interface, on IPv4 or on every address."""
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
    """Yield the ports, chosen where zero. The sockets stay open until all are chosen: no port is chosen twice."""
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
    """Return a listener on some port that the system will not give to an outgoing connection before we use it."""
    while True:
        try:
            return socket.create_server((LOOPBACK, secrets.choice(among)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise


def _holder(port: int) -> str:
    """Return a phrase that names the process that listens, or an empty one where this user may not know."""
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
    """Return a free port near the one that was asked for, where a person will find it."""
    return next((near for near in range(port + 10, port + 200, 10) if is_free(near)), port + 10)
