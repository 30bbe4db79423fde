"""The healthy tenant's clients: people who read, and people who sign in, at a steady pace. A process of its own.

It begins each call when it is due, whether or not the one before has ended, and times it from when it was due: a client
that waits would not notice that others are slow.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from tenantmesh.tenant.v1 import entitlement_service_pb2, tenant_service_pb2
from tests.fairness.http2 import Connection, Reply, framed
from tests.fairness.scene import JSON, PASSWORD, QUIET, Scene

__all__ = ["Seen", "live"]

ADDRESS = "127.0.2.100"
READS_A_SECOND = 40.0
SIGN_INS_A_SECOND = 2.0
GRPC = {"content-type": "application/grpc", "te": "trailers"}
SERVICES = "/tenantmesh.tenant.v1"
GET_TENANT = f"{SERVICES}.TenantService/GetTenant", tenant_service_pb2.GetTenantRequest(id=QUIET)
CHECK = (
    f"{SERVICES}.EntitlementService/CheckEntitlement",
    entitlement_service_pb2.CheckEntitlementRequest(id=QUIET, feature="core"),
)

Ask = Callable[[], Awaitable[Reply]]


@dataclass
class Seen:
    """What one kind of calls met."""

    milliseconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def calls(self) -> int:
        """How many there were."""
        return len(self.milliseconds) + self.failures.total()

    @property
    def served(self) -> float:
        """The share that was served."""
        return len(self.milliseconds) / self.calls if self.calls else 1.0

    def percentile(self, share: float) -> float:
        """The milliseconds below which this share of the served calls stayed."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("inf")


class Line:
    """A connection that is made anew when it was lost, as a client library does."""

    def __init__(self, place: tuple[str, int], address: str) -> None:
        self._place, self._address = place, address
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()

    async def ask(self, path: str, headers: dict[str, str], body: bytes = b"", verb: str = "POST") -> Reply:
        """Ask over the connection there is."""
        async with self._opening:
            if self._connection is None or self._connection.lost:
                try:
                    async with asyncio.timeout(5):
                        self._connection = await Connection(*self._place, self._address).open()
                except (OSError, TimeoutError) as error:
                    return Reply(problem=f"no connection: {type(error).__name__}")
        return await self._connection.ask(path, headers, body, verb)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()


def readers(scene: Scene, opened: ExitStack) -> Iterator[Ask]:
    """Yield the reads of a front end and of a service, at the edge: over REST and over gRPC, in turn."""
    line, bearer = Line(scene.edge, ADDRESS), {"authorization": f"Bearer {scene.quiet_token}"}
    opened.callback(line.close)
    (get, get_body), (check, check_body) = GET_TENANT, CHECK
    asks: list[Ask] = [
        lambda: line.ask(f"/api/v1/tenants/{QUIET}", bearer, verb="GET"),
        lambda: line.ask(get, GRPC | bearer, framed(get_body.SerializeToString())),
        lambda: line.ask(check, GRPC | bearer, framed(check_body.SerializeToString())),
    ]
    return itertools.cycle(asks)


def sign_ins(scene: Scene, opened: ExitStack) -> Iterator[Ask]:
    """Yield sign-ins of different people, each from an address of its own."""
    lines = [(email, Line(scene.edge, address)) for email, address in scene.people]
    for _, line in lines:
        opened.callback(line.close)

    def signing_in(email: str, line: Line) -> Ask:
        body = json.dumps({"email": email, "password": PASSWORD}).encode()
        return lambda: line.ask(f"/api/v1/auth/login?tenant={QUIET}", JSON, body)

    return itertools.cycle([signing_in(email, line) for email, line in lines])


async def paced(asks: Iterator[Ask], a_second: float, seconds: float) -> Seen:
    """Ask at this pace for so long."""
    seen, begun = Seen(), time.perf_counter()
    running: set[asyncio.Task[None]] = set()

    async def timed(ask: Ask, due: float) -> None:
        reply = await ask()
        if reply.outcome == "OK":
            seen.milliseconds.append((time.perf_counter() - due) * 1000)
        else:
            seen.failures[reply.outcome] += 1

    for number in range(int(seconds * a_second)):
        due = begun + number / a_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(timed(next(asks), due))
        running.add(task)
        task.add_done_callback(running.discard)
    if running:
        await asyncio.wait(running)
    return seen


async def live(scene: Scene, seconds: float) -> dict[str, Seen]:
    """Read and sign in for so long."""
    with ExitStack() as opened:
        reads, signed_in = await asyncio.gather(
            paced(readers(scene, opened), READS_A_SECOND, seconds),
            paced(sign_ins(scene, opened), SIGN_INS_A_SECOND, seconds),
        )
    return {"reads": reads, "sign-ins": signed_in}


def main() -> None:
    """Live for as many seconds as the argument says, and print what was seen."""
    scene = Scene.decoded(sys.stdin.readline())
    seen = asyncio.run(live(scene, float(sys.argv[1])))
    print(json.dumps({kind: [each.milliseconds, each.failures] for kind, each in seen.items()}))


if __name__ == "__main__":
    main()
