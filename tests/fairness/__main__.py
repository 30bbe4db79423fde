"""`make fairness`: attacks of each shape beside a healthy tenant; prints what the tenant saw.

Held means: at least 99.9 % of the healthy tenant's calls were served (less where the shape says so), and the 99th
percentile of their time was at most five times as long as without an attack, plus 50 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.fairness.healthy import Seen
from tests.fairness.scene import Scene, running, sign_in
from tests.fairness.shapes import SHAPES, Shape

ROOT = Path(__file__).resolve().parents[2]
LEAST_SERVED = 0.999
TIMES_SLOWER, PLUS_MILLISECONDS = 5, 50
ESTABLISHED_SECONDS, SETTLE_SECONDS = 3.0, 1.0
"""Before what the tenant sees is measured, and after: the lasting state of an attack, whose first seconds differ."""
console = Console()


def healthy(scene: Scene, seconds: float) -> dict[str, Seen]:
    """Run the healthy tenant's clients for so long, and return what they saw."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fairness.healthy", str(seconds)],
        input=f"{scene.encoded}\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
        cwd=ROOT,
    )
    return {kind: Seen(times, Counter(failures)) for kind, (times, failures) in json.loads(done.stdout).items()}


def row(shape: Shape, kind: str, seen: Seen, alone: Seen) -> dict[str, Any]:
    """Return a row of fairness.json."""
    least = LEAST_SERVED if kind == "reads" else shape.least_signed_in
    p99, allowed = seen.percentile(0.99), TIMES_SLOWER * alone.percentile(0.99) + PLUS_MILLISECONDS
    return {
        "shape": shape.name,
        "calls": kind,
        "number": seen.calls,
        "served": round(seen.served, 4),
        "p50_ms": round(seen.percentile(0.5), 1),
        "p99_ms": round(p99, 1),
        "p99_allowed_ms": round(allowed),
        "promised": shape.promised,
        "held": seen.served >= least and p99 <= allowed,
        "failures": dict(seen.failures.most_common(3)),
    }


def table() -> Table:
    """Return the table without rows."""
    made = Table(title="What a healthy tenant sees while others do this", title_justify="left")
    for heading in ("attack", "its calls", "number", "served", "p50 ms", "p99 ms", "allowed", ""):
        made.add_column(heading, justify="left" if heading in {"attack", "its calls"} else "right")
    return made


def verdict(found: dict[str, Any]) -> str:
    """Return the last cell of a row."""
    return "held" if found["held"] else "NOT HELD" if found["promised"] else "not promised"


def main() -> int:
    """Run every shape, or those that are named."""
    parser = argparse.ArgumentParser(prog="make fairness")
    parser.add_argument("--seconds", type=float, default=12.0, help="seconds for each shape")
    parser.add_argument("--only", nargs="*", choices=[shape.name for shape in SHAPES], help="these shapes")
    parser.add_argument("--edge-limit", action="append", default=[], help="name=number, as of `tenantmesh dev`")
    options = parser.parse_args()
    rows, printed = [], table()
    with running(options.edge_limit) as (scene, _stack), console.status("alone") as status:
        alone = healthy(scene, options.seconds)
        for shape in SHAPES:
            if options.only and shape.name not in options.only:
                continue
            status.update(shape.title)
            asyncio.run(sign_in(scene))
            with shape.under_way(scene):
                time.sleep(ESTABLISHED_SECONDS)
                seen = healthy(scene, options.seconds)
            time.sleep(SETTLE_SECONDS)
            for kind, each in seen.items():
                found = row(shape, kind, each, alone[kind])
                rows.append(found)
                cells = [found[key] for key in ("number", "served", "p50_ms", "p99_ms", "p99_allowed_ms")]
                printed.add_row(shape.title if kind == "reads" else "", kind, *map(str, cells), verdict(found))
                if found["failures"]:
                    console.print(f"{shape.name}, {kind}: {found['failures']}")
    console.print(printed)
    target = ROOT / ".tenantmesh" / "fairness.json"
    target.parent.mkdir(mode=0o700, exist_ok=True)
    target.write_text(json.dumps(rows, indent=1) + "\n")
    return int(any(found["promised"] and not found["held"] for found in rows))


if __name__ == "__main__":
    sys.exit(main())
