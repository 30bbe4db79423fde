"""The ports of a stack on this machine's loopback interface, and who holds one that is taken."""

from __future__ import annotations

import errno
import secrets
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum

import psutil

from tenantmesh.deploy.stack.errors import PortTakenError

__all__ = [
    "EDGE_ADDRESS",
    "LOOPBACK",
    "Port",
    "PortNumbers",
    "free",
    "is_free",
    "option_of",
    "variable_of",
    "variables_of",
]

_ANY = range(20_000, 32_000)  # below what Linux and macOS take for outgoing connections
_HIGHEST = 65_535
_LIKE_A_LOW_PORT = 8_000  # as people do it: 8080 for 80, 8443 for 443
LOOPBACK = "127.0.0.1"
EDGE_ADDRESS = "127.0.0.2" if sys.platform == "linux" else LOOPBACK
"""The address from which a stack's edge calls its services, so that they tell it from other programs on this machine.
Other systems than Linux have one loopback address only."""


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

    def check(self, workers: Mapping[str, Sequence[int]] | None = None) -> None:
        """Raise PortTakenError for all ports that can't be had. It says why, and names others to choose.

        workers: how far beyond the ports of these names the other worker processes of a service listen.
        """
        steps = workers or {}
        claims = [claim for name in self for claim in self._claims(name, steps)]
        wrong = dict(_twice(claims))
        for claim in claims:
            if claim.name not in wrong and (text := _obstacle(claim.number)):
                wrong[claim.name] = text + claim.remark
        if not wrong:
            return
        chosen: dict[str, int] = {}
        for name in wrong:
            others = {claim.number for claim in claims if claim.name != name} | set(chosen.values()) | {self[name]}
            chosen[name] = _free_near(self[name], others, steps.get(name, ()))
        variables = " ".join(f"{variable_of(name)}={number}" for name, number in chosen.items())
        options = " ".join(f"{option_of(name)} {number}" for name, number in chosen.items())
        another = "another" if len(wrong) == 1 else "others"
        raise PortTakenError(
            f"{'; '.join(wrong.values())}.",
            remedy=f"Choose {another}: make run {variables} (or tenantmesh dev {options})",
        )

    def _claims(self, name: str, steps: Mapping[str, Sequence[int]]) -> Iterator[_Claim]:
        """Yield the port with this name, and those of the further workers."""
        yield _Claim(name, self[name])
        for worker, step in enumerate(steps.get(name, ()), start=1):
            yield _Claim(name, self[name] + step, worker)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A number that a port of the stack takes, its own or that of a further worker."""

    name: str
    number: int
    worker: int = 0

    @property
    def remark(self) -> str:
        """A phrase that says which worker listens there; empty for the port itself."""
        return f", where worker {self.worker} of {option_of(self.name)} listens" if self.worker else ""


def _twice(claims: Iterable[_Claim]) -> Iterator[tuple[str, str]]:
    """Yield the names that have a number of an earlier one, each with a phrase that says so."""
    first: dict[int, _Claim] = {}
    for claim in claims:
        if not claim.number:
            continue
        earlier = first.setdefault(claim.number, claim)
        if earlier is not claim:
            both = f"both {option_of(earlier.name)} and {option_of(claim.name)}"
            yield claim.name, f"port {claim.number} is given to {both}{earlier.remark}{claim.remark}"


def option_of(name: str) -> str:
    """Return the command-line option that sets the port with this name."""
    return f"--{name.replace('_', '-')}-port"


def variable_of(name: str) -> str:
    """Return the variable that sets the port for make. In the environment it may begin with TENANTMESH_."""
    return f"{name.upper()}_PORT"


def variables_of(name: str) -> list[str]:
    """Return the variables that set the port with this name in the environment. The first one that is set counts."""
    return [f"TENANTMESH_{variable_of(name)}", variable_of(name)]


def free(count: int, among: range = _ANY) -> tuple[int, ...]:
    """Return so many different ports that are free now."""
    return tuple(_settle((0,) * count, among))


class _State(Enum):
    FREE = "free"
    TAKEN = "taken"
    FORBIDDEN = "forbidden"


def is_free(port: int) -> bool:
    """Return whether this user can listen on the port of the loopback interface, and nobody does, on any address."""
    return _state(port) is _State.FREE


def _state(port: int) -> _State:
    with closing(socket.socket()) as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return _State.TAKEN
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended don't count
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return {errno.EADDRINUSE: _State.TAKEN, errno.EACCES: _State.FORBIDDEN}.get(error.errno or 0, _State.FREE)
    return _State.FREE


def _obstacle(port: int) -> str:
    """Return a phrase that says why the port can't be had; empty when it can."""
    if port > _HIGHEST:
        return f"port {port} does not exist"
    match _state(port):
        case _State.TAKEN:
            return f"port {port} is in use{_holder(port)}"
        case _State.FORBIDDEN:
            return f"port {port} needs rights that this user does not have"
        case _:
            return ""


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


def _free_near(port: int, others: set[int], steps: Sequence[int] = ()) -> int:
    """Return a port near the one that was asked for, where a person finds it. It is free and none of the others, and so
    are those of the further workers, which listen by these steps beyond it."""
    top = _HIGHEST - max(steps, default=0)
    if _state(port) is _State.FORBIDDEN:
        near = range(_LIKE_A_LOW_PORT + port, top, 10)
    else:
        near = range(port + 10, min(port + 200, top), 10) or range(min(port, top) - 10, min(port, top) - 200, -10)

    def suits(number: int) -> bool:
        return all(number + step not in others and is_free(number + step) for step in (0, *steps))

    return next(filter(suits, near), near[0])
