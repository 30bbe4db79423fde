"""The whole product on one machine: engines, migrations, first keys, both services, the worker, the edge."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tenantmesh.deploy import envoy
from tenantmesh.deploy.embedded import binaries, edge, keys, services, worker
from tenantmesh.deploy.embedded.engines import Engines
from tenantmesh.deploy.embedded.migrations import migrate
from tenantmesh.deploy.embedded.ports import LOOPBACK, Ports
from tenantmesh.deploy.embedded.processes import Child
from tenantmesh.deploy.embedded.progress import Progress, Silence
from tenantmesh.deploy.embedded.services import Service

__all__ = ["NO_ENVOY", "Stack"]

NO_ENVOY = "no Envoy for this platform - REST and gRPC-Web are off, gRPC works"
_RESTARTS = 5
_RESTART_WINDOW = 60.0  # seconds: a part that ended more often than this within it is broken


class Stack:
    """Everything in a state folder; a context manager that starts and stops it.

    `ports` with zeros choose free ones. `durable`, `temporary` and `cluster` are as for `Engines`. After
    `start`, call `watch` now and then: it starts again what ended by itself.
    """

    def __init__(
        self,
        state: Path,
        *,
        ports: Ports | None = None,
        progress: Progress | None = None,
        durable: bool = True,
        temporary: bool = False,
        cluster: bool = False,
    ) -> None:
        self.engines = Engines(state, durable=durable, temporary=temporary, cluster=cluster)
        self.places = self.engines.places
        self.ports = ports or Ports()
        self.has_edge = envoy.binary() is not None
        self._progress: Progress = progress or Silence()
        self._supervisor = self.engines.supervisor
        self._kek = self.places.state / keys.KEK_FILE
        self._restart: dict[str, Callable[[], object]] = {}
        self._endings: deque[tuple[float, str]] = deque(maxlen=100)

    @property
    def edge_url(self) -> str:
        """Where REST, gRPC and gRPC-Web are answered."""
        return f"http://{LOOPBACK}:{self.ports.edge}"

    @property
    def addresses(self) -> dict[str, str]:
        """Where each part answers, by its name: gRPC, or a URL. No `edge` where there is no Envoy."""
        both = services.services(self.ports, self.places.state)
        edges = {"edge": self.edge_url} if self.has_edge else {}
        working = {worker.NAME: worker.metrics_url(self.ports)}
        return edges | {service.package: service.target for service in both} | working

    def start(self) -> None:
        """Starts every part in order. Raises EmbeddedError; then nothing is left running."""
        left = self.engines.open()
        try:
            if left:
                self._progress.note(f"cleaned up after a run that was killed: {', '.join(left)}")
            self.ports = self.ports.settled()
            self.ports.check()
            self._start_engines()
            self._start_services()
            self._start_edge()
            self._supervisor.announce(self.addresses)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stops every part in reverse order. Safe to repeat."""
        self.engines.close()

    def watch(self) -> None:
        """Starts again what ended by itself. Raises EmbeddedError when a part keeps ending."""
        for child in self._supervisor.ended():
            name = child.program.name
            now = time.monotonic()
            self._endings.append((now, name))
            if sum(1 for when, who in self._endings if who == name and now - when < _RESTART_WINDOW) > _RESTARTS:
                raise child.failure("keeps ending")
            self._progress.note(f"{name} ended by itself; starting it again (log: {child.program.log})")
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
        with self._progress.step("migrations", "tenant, auth"):
            migrate(postgres.url("tenantmesh_migrate"))
        with self._progress.step("keys", "operator, services"):
            keys.ensure(self.places.state, postgres, renew=fresh)

    def _start_services(self) -> None:
        both = services.services(self.ports, self.places.state)
        with self._progress.step("tenant_svc, auth_svc", ", ".join(service.target for service in both)):
            children = [(service, self._start_service(service)) for service in both]
            working = self._start_worker()  # at the same time: it asks neither of them
            for service, child in children:
                services.wait_serving(service, child)
        with self._progress.step(worker.NAME, "jobs such as plan changes"):
            worker.wait_working(self.ports, working)

    def _start_service(self, service: Service) -> Child:
        variables = services.environment(service, self.ports, self.engines.postgres, self.engines.store, self._kek)
        program = services.program(service, self.places.log(service.package), variables)
        self._restart[service.package] = lambda: self._supervisor.start(program)
        return self._supervisor.start(program)

    def _start_worker(self) -> Child:
        program = worker.program(self.ports, self.engines.postgres, self.engines.store, self.places.log(worker.NAME))
        self._restart[worker.NAME] = lambda: self._supervisor.start(program)
        return self._supervisor.start(program)

    def _start_edge(self) -> None:
        if not self.has_edge:
            self._progress.note(NO_ENVOY)
            return
        with self._progress.step(f"envoy {binaries.version(binaries.ENVOY)}", "REST, gRPC and gRPC-Web edge"):
            program = edge.program(self.ports, self.places.state, self.places.log("envoy"))
            self._restart["envoy"] = lambda: self._supervisor.start(program)
            edge.wait_healthy(self.ports, self._supervisor.start(program))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
