"""An embedded Valkey: a Unix socket, a password, an append-only file, and no commands that would hurt a product.

A cluster of several, for tests, is in `valkey_cluster`.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import redis
from pydantic import SecretStr

from tenantmesh.deploy.stack.engine_user import EngineUser
from tenantmesh.deploy.stack.engines.passwords import Passwords
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.paths import Places
from tenantmesh.deploy.stack.supervision.command import Child, Command
from tenantmesh.deploy.stack.supervision.supervisor import Supervisor

__all__ = ["ADMIN", "Store", "Valkey", "command", "limits", "password", "wait_ready"]

_START_SECONDS = 60.0  # reading a long append-only file comes first
# What the product's user may not do: KEYS and FLUSHALL stop the world, CONFIG, DEBUG, MODULE and MIGRATE open it.
# INFO is counted among the dangerous ones, but health and doctor need it.
_RIGHTS = "~* &* +@all -@admin -@dangerous +info"
_ADMIN_RIGHTS = "~* &* +@all"
ADMIN = "admin"


class Store(Protocol):
    """The part of a Valkey that a stack uses: one server or a cluster."""

    cluster: bool
    """Whether clients must speak to it as a cluster."""

    @property
    def url(self) -> SecretStr:
        """How the product connects."""
        ...

    @property
    def admin_url(self) -> SecretStr:
        """How to connect with every right, for tests and repairs."""
        ...

    @property
    def restarts(self) -> Mapping[str, Callable[[], None]]:
        """The names of its programs, and what starts each again after it has ended by itself."""
        ...

    def start(self) -> None:
        """Start it and wait until it answers. Raises StackError with the log's last line."""
        ...

    def stop(self) -> None:
        """Stop it. Safe to repeat."""
        ...

    def flush(self) -> None:
        """Delete every key."""
        ...


class Valkey:
    """One server with its data in `places.data`."""

    cluster = False

    def __init__(
        self,
        program: Path,
        places: Places,
        passwords: Passwords,
        user: EngineUser,
        supervisor: Supervisor,
        *,
        durable: bool = True,
    ) -> None:
        self._program = program
        self._places = places
        self._passwords = passwords
        self._user = user
        self._supervisor = supervisor
        self._durable = durable
        self.socket = places.sockets / "valkey"
        self.child: Child | None = None

    @property
    def url(self) -> SecretStr:
        """How the product connects; `KEYS`, `FLUSHALL`, `CONFIG` and their like are refused to it."""
        return self._url("", "valkey")

    @property
    def admin_url(self) -> SecretStr:
        """How to connect with every right, for tests and repairs."""
        return self._url(ADMIN, "valkey_admin")

    @property
    def restarts(self) -> Mapping[str, Callable[[], None]]:
        """The function that starts the server again when it has ended by itself, by the name of the server."""
        return {"valkey": self.start}

    def start(self) -> None:
        """Start the server and wait until it answers. Raises StackError with the log's last line."""
        folder = self._places.data / "valkey"
        if not folder.exists():
            folder.mkdir(mode=0o700)
            self._user.give(folder)
        self.socket.unlink(missing_ok=True)
        self.child = self._supervisor.start(
            command("valkey", self._program, self._places, self._user, self._configuration(folder))
        )
        wait_ready(self.child, self.url)

    def stop(self) -> None:
        """Stop the server; what it acknowledged is on disk."""
        if self.child:
            self._supervisor.stop(self.child)
            self.child = None

    def flush(self) -> None:
        """Delete every key."""
        with redis.Redis.from_url(self.admin_url.get_secret_value()) as client:
            client.flushall()

    def _configuration(self, folder: Path) -> dict[str, str]:
        return {
            "port": "0",
            "unixsocket": f'"{self.socket}"',
            "unixsocketperm": "700",
            "dir": f'"{folder}"',
            "databases": "16",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "everysec",
            **limits(self._passwords),
        }

    def _url(self, user: str, name: str) -> SecretStr:
        return SecretStr(f"unix://{user}:{password(self._passwords, name)}@{quote(str(self.socket))}")


def command(name: str, binary: Path, places: Places, user: EngineUser, configuration: Mapping[str, str]) -> Command:
    """Return the command that starts a server.

    The server reads its configuration from stdin: the passwords are in no file and in no list of processes.
    """
    return Command(
        name,
        (str(binary), "-"),
        places.log(name),
        environment={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        user=user,
        stdin="".join(f"{key} {value}\n" for key, value in configuration.items()).encode(),
    )


def limits(passwords: Passwords) -> dict[str, str]:
    """Return the configuration of every server: its users' rights, no snapshots, no key dropped for want of memory."""
    return {
        "save": '""',
        "maxmemory-policy": "noeviction",
        "user default": f"on #{_digest(passwords, 'valkey')} {_RIGHTS}",
        f"user {ADMIN}": f"on #{_digest(passwords, 'valkey_admin')} {_ADMIN_RIGHTS}",
    }


def password(passwords: Passwords, name: str) -> str:
    """Return a password as a URL can hold it."""
    return quote(passwords[name].get_secret_value(), safe="")


def wait_ready(child: Child, url: SecretStr) -> None:
    """Wait until the server at the URL answers. Raises StackError with the log's last line."""
    deadline = time.monotonic() + _START_SECONDS
    with redis.Redis.from_url(url.get_secret_value(), socket_timeout=1.0) as client:
        while True:
            try:
                client.ping()
            except redis.AuthenticationError as error:
                raise StackError(f"valkey refuses its own password: {error}") from error
            except redis.RedisError:
                if child.ended():
                    raise child.failure("did not start") from None
                if time.monotonic() > deadline:
                    raise child.failure(f"was not ready after {_START_SECONDS:.0f} s") from None
                time.sleep(0.01)
            else:
                return


def _digest(passwords: Passwords, name: str) -> str:
    return hashlib.sha256(passwords[name].get_secret_value().encode()).hexdigest()
