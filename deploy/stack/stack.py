"""The whole product on one machine: engines, migrations, first keys, and every program of the table."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tenantmesh.deploy.stack import keys
from tenantmesh.deploy.stack.engines import binaries
from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.deploy.stack.migrations import migrate, owners
from tenantmesh.deploy.stack.ports import PortNumbers
from tenantmesh.deploy.stack.programs import table
from tenantmesh.deploy.stack.programs.program import Program, Surroundings
from tenantmesh.deploy.stack.progress import Progress, Silence
from tenantmesh.deploy.stack.supervision.command import Child
from tenantmesh.runtime.migrations import schema_of

__all__ = ["Stack"]

_RESTARTS = 5
_RESTART_WINDOW = 60.0  # seconds: a part that ended more often than this within it is broken
_LOOK_SECONDS = 0.02


class Stack:
    """Everything in a state folder; a context manager that starts and stops it.

    `ports` with zeros choose free ones. `durable`, `temporary` and `cluster` are as for `Engines`. Pages of
    `cors_origins` may call the edge, whose limits `edge_limits` changes. After `start`, call `watch` now and then: it
    restarts what ended by itself.
    """

    def __init__(
        self,
        state: Path,
        *,
        ports: PortNumbers | None = None,
        progress: Progress | None = None,
        durable: bool = True,
        temporary: bool = False,
        cluster: bool = False,
        cors_origins: Sequence[str] = (),
        edge_limits: Sequence[str] = (),
    ) -> None:
        self.engines = Engines(state, durable=durable, temporary=temporary, cluster=cluster)
        self.places = self.engines.places
        self.ports = ports or table.default_ports()
        self.programs = [program for program in table.PROGRAMS if not program.missing()]
        """The programs that this machine can run."""
        self._cors_origins = tuple(cors_origins)
        self._edge_limits = tuple(edge_limits)
        self._progress: Progress = progress or Silence()
        self._supervisor = self.engines.supervisor
        self._restart: dict[str, Callable[[], object]] = {}
        self._endings: deque[tuple[float, str]] = deque(maxlen=100)

    @property
    def addresses(self) -> dict[str, str]:
        """The address of each program, by its name: gRPC, or a URL. No `edge` where there is no Envoy."""
        return {program.name: program.address(self.ports) for program in self.programs}

    @property
    def has_edge(self) -> bool:
        """Whether REST and gRPC-Web are answered."""
        return "edge" in self.addresses

    @property
    def edge_url(self) -> str:
        """The URL at which REST, gRPC and gRPC-Web are answered. Raises KeyError where there is no Envoy."""
        return self.addresses["edge"]

    @property
    def children(self) -> tuple[Child, ...]:
        """The processes that run, in the order of their start."""
        return self._supervisor.children

    def start(self) -> None:
        """Start every part in order. Raises StackError; then nothing is left running."""
        left = self.engines.open()
        try:
            if left:
                self._progress.note(f"cleaned up after a run that was killed: {', '.join(left)}")
            self.ports = self.ports.settled()
            table.check_ports(self.ports)
            self._start_engines()
            self._start_programs()
            self._supervisor.announce(self.addresses)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop every part in reverse order. Safe to repeat."""
        self.engines.close()

    def watch(self) -> None:
        """Restart what ended by itself, and put long logs aside. Raises StackError when a part keeps ending."""
        for child in self.children:
            child.bound_log()
        if self._supervisor.renew_watchdog():
            self._progress.note("the watchdog ended by itself; started it again")
        for child in self._supervisor.ended():
            name = child.command.name
            now = time.monotonic()
            self._endings.append((now, name))
            if sum(1 for when, who in self._endings if who == name and now - when < _RESTART_WINDOW) > _RESTARTS:
                raise child.failure("keeps ending")
            self._progress.note(f"{name} ended by itself; starting it again (log: {child.command.log})")
            self._restart[name]()

    def _start_engines(self) -> None:
        postgres, store = self.engines.postgres, self.engines.store
        fresh = not postgres.exists
        with self._progress.step(f"postgres {postgres.version}", "embedded, unix socket"):
            postgres.start()
            postgres.install()
        version = binaries.version(binaries.VALKEY).split(".post")[0]
        with self._progress.step(
            f"valkey {version}", "embedded, a cluster" if store.cluster else "embedded, unix socket"
        ):
            store.start()
        self._restart |= {"postgres": postgres.start, **store.restarts}
        with self._progress.step("migrations", ", ".join(map(schema_of, owners().values()))):
            migrate(postgres.url("tenantmesh_migrate"))
        with self._progress.step("keys", "operator, services"):
            keys.ensure(self.places, postgres, renew=fresh)

    def _start_programs(self) -> None:
        around = Surroundings(
            self.ports,
            self.places,
            self.engines.postgres,
            self.engines.store,
            table.known_variables(),
            self._cors_origins,
            self._edge_limits,
        )
        ready: list[Child] = []
        for wave in table.waves():
            started = [(program, self._start(program, around)) for program in wave if program in self.programs]
            for program, child in started:
                with self._progress.step(program.title, program.detail(self.ports)):
                    self._wait_ready(program, child, ready)
                ready.append(child)
            for note in filter(None, (program.missing() for program in wave)):
                self._progress.note(note)

    def _start(self, program: Program, around: Surroundings) -> Child:
        command = program.command(around)
        self._restart[command.name] = lambda: self._supervisor.start(command)
        return self._supervisor.start(command)

    def _wait_ready(self, program: Program, child: Child, ready: Sequence[Child]) -> None:
        """Wait until the program does its work. Raises StackError when it, or one that was `ready`, ends or is late."""
        deadline = time.monotonic() + program.start_seconds
        address = program.address(self.ports)
        while not (state := program.examine(address)).good:
            if child.ended():
                raise child.failure("did not start")
            for earlier in filter(Child.ended, ready):
                raise earlier.failure(f"ended while {child.command.name} started")
            if time.monotonic() > deadline:
                raise child.failure(f"was not ready after {program.start_seconds:.0f} s ({state.text})")
            time.sleep(_LOOK_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
