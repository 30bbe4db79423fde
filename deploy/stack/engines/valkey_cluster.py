"""A cluster of three Valkey servers on this machine, for tests: the product's keys must live with slots and redirects.

Clusters speak TCP only, so each server listens on loopback; the bus between them knows no password. Nothing is kept on
disk but which server owns which slots. Not for `tenantmesh dev`, which has one server on a socket.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import redis
from pydantic import SecretStr
from redis.crc import key_slot

from tenantmesh.deploy.stack import ports
from tenantmesh.deploy.stack.engine_user import EngineUser
from tenantmesh.deploy.stack.engines import valkey
from tenantmesh.deploy.stack.engines.passwords import Passwords
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.paths import Places
from tenantmesh.deploy.stack.supervision.command import Child
from tenantmesh.deploy.stack.supervision.supervisor import Supervisor

__all__ = ["NODES", "SLOTS", "ValkeyCluster"]

NODES = 3
SLOTS = 16_384
# Apart from the ports that stacks choose among: those may be chosen and not yet listened on.
_PORTS = range(16_000, 20_000)
_FORM_SECONDS = 60.0


class ValkeyCluster:
    """Three servers that share the slots between them, without replicas: while one is down, its slots are."""

    cluster = True

    def __init__(
        self, program: Path, places: Places, passwords: Passwords, user: EngineUser, supervisor: Supervisor
    ) -> None:
        self._program = program
        self._places = places
        self._passwords = passwords
        self._user = user
        self._supervisor = supervisor
        self._children: dict[int, Child] = {}
        self.ports: tuple[int, ...] = ()
        """Where the servers listen, once they have been started; behind them as many of the bus."""

    @property
    def url(self) -> SecretStr:
        """How the product connects: every server, so that one that is down keeps nobody from finding the others."""
        return self._url("", "valkey", self.ports[:NODES])

    @property
    def admin_url(self) -> SecretStr:
        """How to connect with every right."""
        return self._url(valkey.ADMIN, "valkey_admin", self.ports[:NODES])

    @property
    def restarts(self) -> Mapping[str, Callable[[], None]]:
        """The function that starts each server again when it has ended by itself, by the name of the server."""
        return {_name(node): partial(self.start_node, node) for node in range(NODES)}

    def start(self) -> None:
        """Start the servers and wait until they agree on the slots. Raises StackError."""
        self.ports = self.ports or ports.free(2 * NODES, _PORTS)
        for node in range(NODES):
            self.start_node(node)
        if self._asked(0, "cluster_slots_assigned") != str(SLOTS):
            self._form()
        self._wait_formed()

    def stop(self) -> None:
        """Stop the servers; their keys are gone, their shares of the slots stay."""
        for node in tuple(self._children):
            self.stop_node(node)

    def start_node(self, node: int) -> None:
        """Start one server, the first being 0, and wait until it answers. Raises StackError."""
        folder = self._places.data / _name(node)
        if not folder.exists():
            folder.mkdir(mode=0o700)
            self._user.give(folder)
        command = valkey.command(
            _name(node), self._program, self._places, self._user, self._configuration(node, folder)
        )
        self._children[node] = self._supervisor.start(command)
        valkey.wait_ready(self._children[node], self.node_url(node))

    def stop_node(self, node: int) -> None:
        """Stop one server. Safe to repeat."""
        if child := self._children.pop(node, None):
            self._supervisor.stop(child)

    def node_of(self, key: str) -> int:
        """Return the number of the server that owns the key."""
        slot = key_slot(key.encode())
        return next(node for node in range(NODES) if slot < SLOTS * (node + 1) // NODES)

    def pid_of(self, node: int) -> int:
        """Return the pid of a server, to stop or to kill it."""
        return self._children[node].process.pid

    def node_url(self, node: int) -> SecretStr:
        """Return the URL of one server, with every right."""
        return self._url(valkey.ADMIN, "valkey_admin", (self.ports[node],))

    def flush(self) -> None:
        """Delete every key."""
        for node in self._children:
            with self._admin(node) as admin:
                admin.flushall()

    def _configuration(self, node: int, folder: Path) -> dict[str, str]:
        return {
            "bind": ports.LOOPBACK,
            "port": str(self.ports[node]),
            "dir": f'"{folder}"',
            "appendonly": "no",
            "cluster-enabled": "yes",
            "cluster-port": str(self.ports[NODES + node]),
            "cluster-announce-ip": ports.LOOPBACK,
            "cluster-require-full-coverage": "no",
            **valkey.limits(self._passwords),
        }

    def _form(self) -> None:
        """Share the slots out and introduce the servers to each other."""
        for node in range(NODES):
            first, last = SLOTS * node // NODES, SLOTS * (node + 1) // NODES - 1
            with self._admin(node) as admin:
                admin.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
                # Each its own from the start: servers that find the same one in another sort it out, but later.
                admin.execute_command("CLUSTER SET-CONFIG-EPOCH", node + 1)
        with self._admin(0) as admin:
            for node in range(1, NODES):
                admin.execute_command("CLUSTER MEET", ports.LOOPBACK, self.ports[node], self.ports[NODES + node])

    def _wait_formed(self) -> None:
        deadline = time.monotonic() + _FORM_SECONDS
        while not all(self._formed(node) for node in range(NODES)):
            if time.monotonic() > deadline:
                raise StackError(f"the valkey cluster did not form within {_FORM_SECONDS:.0f} s")
            time.sleep(0.02)

    def _formed(self, node: int) -> bool:
        info = self._info(node)
        return (info["cluster_state"], info["cluster_slots_ok"]) == ("ok", str(SLOTS))

    def _asked(self, node: int, field: str) -> str:
        return self._info(node)[field]

    def _info(self, node: int) -> dict[str, str]:
        with self._admin(node) as admin:
            answer = admin.execute_command("CLUSTER INFO")
        return dict(answer)

    @contextmanager
    def _admin(self, node: int) -> Iterator[Any]:
        with redis.Redis.from_url(self.node_url(node).get_secret_value(), socket_timeout=5.0) as client:
            yield client

    def _url(self, user: str, name: str, listening: tuple[int, ...]) -> SecretStr:
        hosts = ",".join(f"{ports.LOOPBACK}:{port}" for port in listening)
        return SecretStr(f"redis://{user}:{valkey.password(self._passwords, name)}@{hosts}")


def _name(node: int) -> str:
    return f"valkey-{node + 1}"
