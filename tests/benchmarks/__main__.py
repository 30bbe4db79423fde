"""`make bench`: prints the table and writes .tenantmesh/bench.json."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
from notes.v1 import notes_service_pb2 as pb
from rich.console import Console
from rich.table import Table

from tenantmesh.interceptors.chain import LINKS
from tests.benchmarks.imports import compare_imports
from tests.benchmarks.load import Endpoint, Load, Measured, Target, alternate, framed, pin, require_h2load
from tests.benchmarks.product import product

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = "The product, on PostgreSQL and Valkey"
STEP_BY_STEP = "Link by link"
METHOD = "/notes.v1.NotesService/AddNote"
"""Has a burst limit and is charged, so that every link has something to do."""
MESSAGE = pb.AddNoteRequest(text="n" * 99)
console = Console()


class Server:
    """A running variant."""

    def __init__(self, variant: str) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/example/gen'}"}
        if variant not in {"bare", "threads"}:
            environment["GRPC_EXPERIMENTS"] = "-event_engine_listener"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.server", variant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self.port = int(self._line())
        pin(self._process.pid, 0)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def token(self) -> str:
        """An access token that is fresh for five minutes."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return self._line()

    def headers(self) -> dict[str, str]:
        """The headers that every variant gets alike."""
        return {
            "content-type": "application/grpc",
            "te": "trailers",
            "x-request-id": "bench",
            "authorization": f"Bearer {self.token()}",
        }

    def verify(self) -> None:
        """Asks once with a real client: h2load counts any HTTP 200 as success."""
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            call = channel.unary_unary(METHOD, pb.AddNoteRequest.SerializeToString, pb.AddNoteResponse.FromString)
            answer = call(MESSAGE, metadata=(("authorization", f"Bearer {self.token()}"),), timeout=10)
        assert answer.plan == MESSAGE.text

    def target(self, name: str) -> Target:
        """What h2load is told."""
        return Endpoint(name, f"http://127.0.0.1:{self.port}{METHOD}", self.headers, framed(MESSAGE))

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


@contextmanager
def servers(names: dict[str, str]) -> Iterator[list[Target]]:
    """Starts a server per name and gives their targets, verified."""
    with ExitStack() as stack:
        targets = []
        for name, variant in names.items():
            server = Server(variant)
            stack.callback(server.close)
            server.verify()
            targets.append(server.target(name))
        yield targets


def row(name: str, measured: Measured, baseline: str, ratio: float, pairs: int) -> dict[str, object]:
    """A row of bench.json."""
    rates = sorted(measured.rates)
    return {
        "name": name,
        "value": round(rates[len(rates) // 2]),
        "unit": "calls/s",
        "baseline": baseline,
        "ratio": round(ratio, 3),
        "p50_ms": round(measured.percentile(0.50), 3),
        "p99_ms": round(measured.percentile(0.99), 3),
        "pairs": pairs,
    }


def compare(title: str, names: dict[str, str], options: argparse.Namespace) -> list[dict[str, object]]:
    """Measures the variants against the first of them and prints the table."""
    with servers(names) as targets:
        if title == PRODUCT:
            with product() as more:
                return measure(title, [*targets, *more], options)
        return measure(title, targets, options)


def measure(title: str, targets: list[Target], options: argparse.Namespace) -> list[dict[str, object]]:
    """Loads the targets in turn and prints the table."""
    with console.status(title) as status:
        measured = alternate(
            targets,
            pairs=options.pairs,
            load=Load(options.calls),
            note=lambda text: status.update(f"{title}: {text}"),
        )
    return show(title, measured, options.pairs)


def show(title: str, measured: dict[str, Measured], pairs: int) -> list[dict[str, object]]:
    """Prints the table of ratios to the first target and returns its rows."""
    baseline = next(iter(measured))
    table = Table(title=f"{title} (64 in flight, median of {pairs} alternating pairs)", title_justify="left")
    speed = ("calls/s", f"ratio to {baseline}", "p50 ms", "p99 ms")
    steps = ("µs more than the row above",) if title == STEP_BY_STEP else ()
    for heading in ("", *speed, "µs more a call", *steps):
        table.add_column(heading, justify="left" if not heading else "right")
    rows = []
    above = measured[baseline]
    for name, each in measured.items():
        made = row(name, each, baseline, each.ratio(measured[baseline]), pairs)
        rows.append(made)
        more = (f"{_more(each, other):+.0f}" for other in (measured[baseline], *(above for _ in steps)))
        table.add_row(name, *(f"{made[key]}" for key in ("value", "ratio", "p50_ms", "p99_ms")), *more)
        above = each
    console.print(table)
    return rows


def _more(measured: Measured, other: Measured) -> float:
    """Microseconds that a call takes longer than one of the other's."""
    return 1e6 / statistics.median(measured.rates) * (1 - measured.ratio(other))


def main() -> None:
    """Runs every comparison."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--pairs", type=int, default=12, help="alternating rounds per comparison")
    parser.add_argument("--calls", type=int, default=2500, help="calls per round and variant")
    parser.add_argument(
        "--only", choices=["chain", "links", "threads", "product", "imports"], help="one comparison instead of all"
    )
    parser.add_argument("--tenants", type=int, default=5000, help="tenants to import")
    options = parser.parse_args()
    if options.only != "imports":
        require_h2load()
    comparisons = {
        "chain": ("The chain on grpc.aio", {"bare": "bare", "tuned": "tuned", "chain": "chain"}),
        "links": (
            STEP_BY_STEP,
            {
                "bare": "bare",
                "tuned": "tuned",
                "+ adapter": "links:0",
                **{f"+ {row.name}": f"links:{place + 1}" for place, row in enumerate(LINKS) if row.build is not None},
            },
        ),
        "product": (PRODUCT, {"bare": "bare"}),
        "threads": ("The chain on grpc.server", {"threads": "threads", "threads-chain": "threads-chain"}),
    }
    rows: list[dict[str, object]] = []
    for key, (title, names) in comparisons.items():
        if options.only in {None, key}:
            rows += compare(title, names, options)
    if options.only in {None, "imports"}:
        rows += compare_imports(options.tenants, console)
    target = ROOT / ".tenantmesh" / "bench.json"
    target.parent.mkdir(mode=0o700, exist_ok=True)
    target.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
