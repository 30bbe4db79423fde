"""Tenants imported by the command line against a running stack, as a ratio to COPY of the same columns into a table."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.table import Table

from tenantmesh.deploy.stack.engines.passwords import SUPERUSER
from tenantmesh.deploy.stack.programs.table import any_ports
from tenantmesh.deploy.stack.stack import Stack
from tests.fixtures.stack import MANY_CALLS

__all__ = ["TITLE", "compare_imports"]

TITLE = "Tenants, imported by the command line"
COPY = "COPY"
_COPIES = 3
_COMMAND = "from tenantmesh.deploy.program import main; main()"


def line(number: int) -> bytes:
    """A tenant as a billing system would tell of it."""
    return (
        json.dumps(
            {
                "slug": f"tenant-{number}",
                "displayName": f"Tenant number {number}",
                "externalId": f"crm:{number:09}",
                "planId": "basic",
                "labels": {"team": "emea", "tier": str(number % 5)},
                "timeZone": "Europe/Berlin",
                "locale": "de-CH",
                "currency": "CHF",
            }
        ).encode()
        + b"\n"
    )


def timed(work: Callable[[], object]) -> float:
    """The seconds that the work takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


async def copied(url: str) -> float:
    """The seconds of the fastest COPY of what was imported, into a table with the same columns and nothing else."""
    connection = await asyncpg.connect(url)
    try:
        rows = [tuple(row) for row in await connection.fetch("select * from tenant.tenants")]
        seconds = []
        for _ in range(_COPIES):
            await connection.execute("drop table if exists copied; create table copied (like tenant.tenants)")
            begun = time.perf_counter()
            await connection.copy_records_to_table("copied", records=rows)
            seconds.append(time.perf_counter() - begun)
        return min(seconds)
    finally:
        await connection.close()


def compare_imports(count: int, console: Console) -> list[dict[str, object]]:
    """Imports that many tenants twice, copies their rows, prints the table and returns its rows."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tenants.ndjson"
        file.write_bytes(b"".join(map(line, range(count))))
        with Stack(Path(folder) / "state", ports=any_ports(), temporary=True, edge_limits=MANY_CALLS) as stack:
            command = [sys.executable, "-c", _COMMAND, "tenants", "import", str(file)]
            command += ["--state", str(stack.places.state)]

            def run() -> None:
                subprocess.run(command, check=True, capture_output=True, timeout=3600)

            with console.status(f"{TITLE}: {count}"):
                seconds = {"import": timed(run), "import again, unchanged": timed(run)}
                admin = stack.engines.postgres.url(SUPERUSER).get_secret_value()
                seconds = {COPY: asyncio.run(copied(admin)), **seconds}
    return _shown(count, seconds, console)


def _shown(count: int, seconds: dict[str, float], console: Console) -> list[dict[str, object]]:
    table = Table(title=f"{TITLE} ({count} tenants)", title_justify="left")
    for heading in ("", "tenants/s", f"ratio to {COPY}", "seconds"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows: list[dict[str, object]] = []
    for name, each in seconds.items():
        ratio = seconds[COPY] / each
        rows.append(
            {
                "name": name,
                "value": round(count / each),
                "unit": "tenants/s",
                "baseline": COPY,
                "ratio": round(ratio, 4),
            }
        )
        table.add_row(name, f"{count / each:.0f}", f"{ratio:.4f}", f"{each:.1f}")
    console.print(table)
    return rows
