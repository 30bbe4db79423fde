"""Whether the time of a registration tells a known address from a new one: `make bench-registration`.

Registers new and known addresses over gRPC in random order, one after the other, and prints how well their times tell
them apart: the area under the ROC curve (AUC), where 0.5 is not at all. The goal is 0.55 at most. The control compares
new addresses with new ones, so it shows what the machine alone makes of equal work.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
import uuid
from pathlib import Path

from tests.fixtures.mesh import AUTH, PASSWORD, Mesh, World
from tests.fixtures.stack import started_stack
from tests.transports import GrpcTransport

KINDS = ("new", "known", "control")


def auc(ones: list[float], others: list[float]) -> float:
    """The probability that one of `ones` takes longer than one of `others`, or its complement, whichever is larger."""
    ranked = sorted([(each, True) for each in ones] + [(each, False) for each in others])
    ranks = sum(rank for rank, (_, mine) in enumerate(ranked) if mine)
    share = (ranks - len(ones) * (len(ones) - 1) / 2) / (len(ones) * len(others))
    return max(share, 1 - share)


async def register(transport: GrpcTransport, slug: str, email: str) -> float:
    """The seconds of one registration."""
    begun = time.perf_counter()
    request = {"email": email, "password": PASSWORD}
    answer = await transport.call(f"{AUTH}/Register", request, metadata=[("x-tenant-slug", slug)])
    assert answer.code == "OK", answer
    return time.perf_counter() - begun


def somebody() -> str:
    """An address that nobody has."""
    return f"{uuid.uuid4().hex}@people.example"


async def times(mesh: Mesh, each: int) -> dict[str, list[float]]:
    """The seconds of each registration, by kind."""
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    async with GrpcTransport(mesh.tenant_target, mesh.auth_target) as transport:
        world = World(mesh, transport)
        slug = (await world.tenant(plan=await world.plan(core=True, users=None, api_requests=None))).slug
        known = [somebody() for _ in range(each)]
        for email in known:
            await register(transport, slug, email)
        plan = [kind for kind in KINDS for _ in range(each)]
        random.shuffle(plan)
        for kind in plan:
            email = known.pop() if kind == "known" else somebody()
            taken[kind].append(await register(transport, slug, email))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("-n", type=int, default=1000, help="registrations of each kind")
    each = parser.parse_args().n
    with tempfile.TemporaryDirectory() as folder, started_stack(Path(folder), cluster=False) as stack:
        taken = asyncio.run(times(Mesh(stack), each))
    for kind in KINDS:
        print(f"{kind:8} median {1000 * statistics.median(taken[kind]):7.3f} ms")
    print(f"AUC of known and new  {auc(taken['known'], taken['new']):.3f} (n {each} each)")
    print(f"AUC of new and new    {auc(taken['control'], taken['new']):.3f} (the control)")


if __name__ == "__main__":
    main()
