"""`make scale`: what many tenants change, beside few in the same run. Prints tables and writes .tenantmesh/scale.json.

Both products run at the same time and are asked in turn, since machines are noisy: the ratios count, not the times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.scale.memory import Peak
from tests.scale.printing import tables
from tests.scale.product import ROOT, Product, running
from tests.scale.questions import QUESTIONS, Asker, Question
from tests.scale.upgrades import upgraded
from tests.scale.visits import visit

GOAL = 1.2
UPGRADE_FROM = "0018"
console = Console(width=120)


def percentile(times: Sequence[float], share: float) -> float:
    """Return the value below which that share of the sorted times is."""
    return times[min(len(times) - 1, int(len(times) * share))]


async def asked(products: Sequence[Product], rounds: int, calls: int) -> list[dict[str, Any]]:
    """Ask both products every question in turn, and return a row for each."""
    times: dict[str, list[list[list[float]]]] = {each.name: [[], []] for each in QUESTIONS}
    async with AsyncExitStack() as opened:
        askers = [Asker(each, await opened.enter_async_context(each.channel())) for each in products]
        for asker in askers:
            await asker.prepare()
            for question in QUESTIONS:
                await asker.times(question, calls // 4)
        for number in range(rounds):
            for question in QUESTIONS:
                order = (0, 1) if number % 2 else (1, 0)
                for which in order:
                    times[question.name][which].append(await askers[which].times(question, calls))
    return [answered(question, *times[question.name]) for question in QUESTIONS]


def answered(question: Question, few: list[list[float]], many: list[list[float]]) -> dict[str, Any]:
    """Return the row of a question, from the times of each round."""
    ratios = [percentile(sorted(b), 0.99) / percentile(sorted(a), 0.99) for a, b in zip(few, many, strict=True)]
    less, more = (sorted(time for turn in turns for time in turn) for turns in (few, many))
    return {
        "call": question.name,
        "goal": question.goal,
        **{f"p{share * 100:.0f}_ms": [percentile(less, share), percentile(more, share)] for share in (0.5, 0.99)},
        "p50_ratio": percentile(more, 0.5) / percentile(less, 0.5),
        "p99_ratio": percentile(more, 0.99) / percentile(less, 0.99),
        "p99_ratio_median_of_rounds": statistics.median(ratios),
    }


def met(row: dict[str, Any]) -> bool:
    """Return whether the row reaches its goal: over all calls, or in the median of rounds when one was disturbed."""
    return not row["goal"] or min(row["p99_ratio"], row["p99_ratio_median_of_rounds"]) <= GOAL


def snapshots(product: Product) -> list[dict[str, Any]]:
    """Read each watch from its snapshot, and return time and memory of both sides."""
    found = []
    for what in ("tenants", "entitlements"):
        with Peak(product.process("tenant_svc").pid) as peak:
            read = product.child("snapshot", what)
        found.append({"watch": what, "size": product.size, **read, "server": peak.figures})
    return found


def remembered(product: Product, visits: int) -> dict[str, Any]:
    """Have the services meet more tenants than they remember, and another process all. Return the memory of each."""
    before = product.memory()
    seconds = asyncio.run(visit(product, visits))
    another = product.child("meeting", given="\n".join(map(str, product.many.ids)))
    return {
        "size": product.size,
        "at_rest_mib": before,
        "visited_mib": product.memory(),
        "visits": min(visits, product.size),
        "visits_per_second": round(min(visits, product.size) / seconds),
        "another_process": another,
        "series": product.series(),
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything, and return what is written to scale.json."""
    sizes, found = (options.few, options.many), dict[str, Any]()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        products: list[Product] = []
        parts: dict[str, Callable[[], object]] = {
            "made": lambda: products.extend(stack.enter_context(running(Path(folder), size)) for size in sizes),
            "calls": lambda: asyncio.run(asked(products, options.rounds, options.calls)),
            "snapshots": lambda: [
                row for _ in range(options.snapshots) for each in products for row in snapshots(each)
            ],
            "memory": lambda: [remembered(each, options.visits) for each in products],
            "doctor": lambda: [each.doctor() for each in products],
        }
        for name, measure in parts.items():
            found[name] = measured(name, measure)
        found["made"] = [product_row(each) for each in products]
    found["upgrades"] = measured("upgrades", lambda: [asdict(each) for each in upgraded(UPGRADE_FROM, sizes)])
    return found


def measured(name: str, measure: Callable[[], object]) -> object:
    """Measure one part, and print how long that took."""
    begun = time.monotonic()
    with console.status(name):
        found = measure()
    console.print(f"{name}: {time.monotonic() - begun:.0f} s")
    return found


def product_row(product: Product) -> dict[str, Any]:
    """Return what was learnt while the product was filled."""
    rows = sum(product.rows.values())
    return {
        "size": product.size,
        "rows_of_a_tenant": product.rows,
        "rows_per_second": round(product.size * rows / product.loading_seconds),
        "starting_seconds": product.starting_seconds,
    }


def main() -> int:
    """Measure, print, write; the status says whether every goal was met."""
    parser = argparse.ArgumentParser(prog="make scale")
    parser.add_argument("--few", type=int, default=100, help="tenants of the one product")
    parser.add_argument("--many", type=int, default=100_000, help="tenants of the other")
    parser.add_argument("--rounds", type=int, default=20, help="how often each question is asked of both in turn")
    parser.add_argument("--calls", type=int, default=150, help="calls of a question in a round")
    parser.add_argument("--snapshots", type=int, default=3, help="how often each snapshot is read")
    parser.add_argument("--visits", type=int, default=25_000, help="tenants whose calls the services serve")
    options = parser.parse_args()
    found = run(options)
    for table in tables(found, options.few, options.many):
        console.print(table)
    target = ROOT / ".tenantmesh" / "scale.json"
    target.parent.mkdir(mode=0o700, exist_ok=True)
    target.write_text(json.dumps(found, indent=1) + "\n")
    missed = [row["call"] for row in found["calls"] if not met(row)]
    if missed:
        console.print(f"p99 above {GOAL} times: {', '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
