"""The two databases of a stack, and nothing else: what tests and the whole stack start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tenantmesh.deploy.stack import paths
from tenantmesh.deploy.stack.engine_user import engine_user
from tenantmesh.deploy.stack.engines import binaries
from tenantmesh.deploy.stack.engines.passwords import Passwords
from tenantmesh.deploy.stack.engines.postgres import Postgres
from tenantmesh.deploy.stack.engines.valkey import Store, Valkey
from tenantmesh.deploy.stack.engines.valkey_cluster import ValkeyCluster
from tenantmesh.deploy.stack.supervision.supervisor import Supervisor

__all__ = ["Engines"]


class Engines:
    """PostgreSQL and Valkey in a state folder; a context manager that starts and stops both.

    `durable=False` makes both fast and forgetful, for tests. `temporary=True` deletes the folder at the end, even when
    this process is killed. `cluster=True` starts three Valkeys as a cluster instead of the one, for tests. Without
    `start`, the object only tells how to reach the engines that another process runs.
    """

    def __init__(
        self,
        state: Path,
        *,
        durable: bool = True,
        temporary: bool = False,
        cluster: bool = False,
        major: int = binaries.POSTGRES_MAJOR,
    ) -> None:
        user = engine_user()
        programs, valkey = binaries.postgres_folder(user, major), binaries.valkey_program(user)
        self.places = paths.prepare(state, user)
        self._temporary = temporary
        discard = paths.folders(self.places) if temporary else ()
        self.supervisor = Supervisor(self.places.state, discard=discard)
        self._passwords = Passwords(self.places.passwords)
        self.postgres = Postgres(
            programs, self.places, self._passwords, user, self.supervisor, durable=durable, major=major
        )
        self.valkey = Valkey(valkey, self.places, self._passwords, user, self.supervisor, durable=durable)
        self.valkey_cluster = ValkeyCluster(valkey, self.places, self._passwords, user, self.supervisor)
        self.store: Store = self.valkey_cluster if cluster else self.valkey
        """The one of the two that is started."""

    def start(self) -> None:
        """Start both and install the roles. Raises StackError; then nothing is left running.

        A second `start` in the same folder, by whatever process, is refused with AlreadyRunningError.
        """
        self.open()
        try:
            self.postgres.start()
            self.postgres.install()
            self.store.start()
        except BaseException:
            self.close()
            raise

    def open(self) -> list[str]:
        """Take the state folder without starting anything. Returns the processes of a killed run, which are ended."""
        left = self.supervisor.acquire()
        try:
            self._passwords.create()
        except BaseException:
            self.close()
            raise
        return left

    def close(self) -> None:
        """Stop both and release the folder. Safe to repeat."""
        if self.supervisor.close() and self._temporary:
            paths.discard(self.places)

    def watch(self, report: Callable[[str], None]) -> None:
        """Restart what ended by itself, and report it. Call it now and then."""
        if self.supervisor.renew_watchdog():
            report("the watchdog ended by itself; started it again")
        for child in self.supervisor.ended():
            report(f"{child.command.name} ended by itself; starting it again")
            restarts = {"postgres": self.postgres.start, **self.store.restarts}
            restarts[child.command.name]()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
