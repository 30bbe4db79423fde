"""An embedded Valkey: a Unix socket, a password, an append-only file, and no commands that would hurt a product."""

import hashlib
import os
import time
from pathlib import Path
from urllib.parse import quote

import redis
from pydantic import SecretStr

from deploy.embedded.credentials import Credentials
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.identity import EngineUser
from deploy.embedded.paths import Places
from deploy.embedded.processes import Child, Program, Supervisor

_START_SECONDS = 60.0  # reading a long append-only file comes first
# What the product's user may not do: KEYS and FLUSHALL stop the world, CONFIG, DEBUG, MODULE and MIGRATE open it.
# INFO is counted among the dangerous ones, but health and doctor need it.
_RIGHTS = "~* &* +@all -@admin -@dangerous +info"
_ADMIN_RIGHTS = "~* &* +@all"
ADMIN = "admin"


class Valkey:
    """One server with its data in `places.data`."""

    def __init__(
        self,
        program: Path,
        places: Places,
        credentials: Credentials,
        user: EngineUser,
        supervisor: Supervisor,
        *,
        durable: bool = True,
    ) -> None:
        self._program = program
        self._places = places
        self._credentials = credentials
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

    def start(self) -> None:
        """Starts the server and waits until it answers. Raises EmbeddedError with the log's last line."""
        folder = self._places.data / "valkey"
        if not folder.exists():
            folder.mkdir(mode=0o700)
            self._user.give(folder)
        self.socket.unlink(missing_ok=True)
        program = Program(
            "valkey",
            (str(self._program), "-"),  # the configuration comes by stdin: its passwords are in no file and no list
            self._places.log("valkey"),
            environment={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            user=self._user,
            stdin=self._configuration(folder).encode(),
        )
        self.child = self._supervisor.start(program)
        self._wait_ready(self.child)

    def stop(self) -> None:
        """Stops the server; what it acknowledged is on disk."""
        if self.child:
            self._supervisor.stop(self.child)
            self.child = None

    def flush(self) -> None:
        """Deletes every key."""
        with redis.Redis.from_url(self.admin_url.get_secret_value()) as client:
            client.flushall()

    def _configuration(self, folder: Path) -> str:
        lines = {
            "port": "0",
            "unixsocket": f'"{self.socket}"',
            "unixsocketperm": "700",
            "dir": f'"{folder}"',
            "databases": "16",
            "save": '""',
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "user default": f"on #{self._digest('valkey')} {_RIGHTS}",
            f"user {ADMIN}": f"on #{self._digest('valkey_admin')} {_ADMIN_RIGHTS}",
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    def _digest(self, name: str) -> str:
        return hashlib.sha256(self._credentials[name].get_secret_value().encode()).hexdigest()

    def _url(self, user: str, name: str) -> SecretStr:
        password = quote(self._credentials[name].get_secret_value(), safe="")
        return SecretStr(f"unix://{user}:{password}@{quote(str(self.socket))}")

    def _wait_ready(self, child: Child) -> None:
        deadline = time.monotonic() + _START_SECONDS
        with redis.Redis.from_url(self.url.get_secret_value(), socket_timeout=1.0) as client:
            while True:
                try:
                    client.ping()
                except redis.AuthenticationError as error:
                    raise EmbeddedError(f"valkey refuses its own password: {error}") from error
                except redis.RedisError:
                    if child.ended():
                        raise child.failure("did not start") from None
                    if time.monotonic() > deadline:
                        raise child.failure(f"was not ready after {_START_SECONDS:.0f} s") from None
                    time.sleep(0.01)
                else:
                    return
