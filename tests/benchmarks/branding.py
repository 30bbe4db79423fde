"""Whether the time of GetBranding tells a tenant from none: `make bench-branding`.

Asks over gRPC for slugs in random order, one after the other: of tenants that nobody has asked for before, of tenants
that are in every cache, of suspended ones, and of none. Prints how well their times tell each from none: the area under
the ROC curve (AUC), where 0.5 is not at all. The goal is 0.55 at most. The control compares none with none.
`--answer-time 0` shows what the time tells when answers are not held.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
import uuid
from pathlib import Path

from tests.benchmarks.registration import auc
from tests.fixtures.mesh import BRANDING, TENANTS, Mesh, World
from tests.fixtures.stack import started_stack
from tests.transports import GrpcTransport

KINDS = ("none", "control", "new to caches", "in caches", "suspended")


async def ask(transport: GrpcTransport, slug: str) -> float:
    """The seconds of one question."""
    begun = time.perf_counter()
    answer = await transport.call(f"{BRANDING}/GetBranding", {"slug": slug})
    assert answer.code == "OK", answer
    return time.perf_counter() - begun


async def tenants(world: World, each: int) -> dict[str, list[str]]:
    """The slugs of each kind."""
    known = (await world.tenant()).slug
    stopped = []
    for _ in range(each):
        stopped.append(await world.tenant())
        await world.operate(f"{TENANTS}/SuspendTenant", {"id": stopped[-1].id, "reason": "a benchmark"})
    return {
        "none": [f"t-{uuid.uuid4().hex[:12]}" for _ in range(each)],
        "control": [f"t-{uuid.uuid4().hex[:12]}" for _ in range(each)],
        "new to caches": [(await world.tenant()).slug for _ in range(each)],
        "in caches": [known] * each,
        "suspended": [tenant.slug for tenant in stopped],
    }


async def times(mesh: Mesh, each: int) -> dict[str, list[float]]:
    """The seconds of each question, by kind."""
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    async with GrpcTransport(mesh.tenant_target, mesh.auth_target) as transport:
        slugs = await tenants(World(mesh, transport), each)
        for slug in [*slugs["in caches"][:1], *(f"t-{uuid.uuid4().hex[:12]}" for _ in range(50))]:
            await ask(transport, slug)  # connections are open, and code is warm
        plan = [kind for kind in KINDS for _ in range(each)]
        random.shuffle(plan)
        for kind in plan:
            taken[kind].append(await ask(transport, slugs[kind].pop()))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("-n", type=int, default=500, help="questions of each kind")
    parser.add_argument("--answer-time", default="25ms", help="TENANTMESH_BRANDING_ANSWER_TIME")
    asked = parser.parse_args()
    os.environ["TENANTMESH_BRANDING_ANSWER_TIME"] = asked.answer_time
    rates = "public=100000/100000"
    with tempfile.TemporaryDirectory() as folder, started_stack(Path(folder), cluster=False, rates=rates) as stack:
        taken = asyncio.run(times(Mesh(stack), asked.n))
    for kind in KINDS:
        low, middle, high = (1000 * cut for cut in statistics.quantiles(taken[kind], n=4))
        print(f"{kind:14} quartiles {low:7.3f} {middle:7.3f} {high:7.3f} ms")
    for kind in KINDS[1:]:
        print(f"AUC of none and {kind:14} {auc(taken[kind], taken['none']):.3f} (n {asked.n} each)")


if __name__ == "__main__":
    main()
