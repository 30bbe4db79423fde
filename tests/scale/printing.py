"""The tables of `make scale`."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from rich.table import Table

__all__ = ["tables"]


def tables(found: dict[str, Any], few: int, many: int) -> Iterator[Table]:
    """Make a table of each part."""
    yield _calls(found["calls"], few, many)
    yield _snapshots(found["snapshots"])
    yield _memory(found["memory"])
    yield _rest(found)


def _table(title: str, *headings: str) -> Table:
    made = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        made.add_column(heading, justify="right" if number else "left")
    return made


def _calls(rows: list[dict[str, Any]], few: int, many: int) -> Table:
    made = _table(
        f"One call after the other, {few:,} and {many:,} tenants",
        "call", f"p50 ms, {few:,}", f"{many:,}", f"p99 ms, {few:,}", f"{many:,}", "p50 ratio", "p99 ratio", "of rounds",
    )  # fmt: skip
    for row in rows:
        times = [f"{value:.2f}" for key in ("p50_ms", "p99_ms") for value in row[key]]
        ratios = [f"{row[key]:.2f}" for key in ("p50_ratio", "p99_ratio", "p99_ratio_median_of_rounds")]
        made.add_row(row["call"] if row["goal"] else f"{row['call']} (no goal)", *times, *ratios)
    return made


def _snapshots(rows: list[dict[str, Any]]) -> Table:
    made = _table(
        "Snapshots, until the watch has caught up",
        "watch", "tenants", "seconds", "messages/s", "server MiB before", "at most", "reader MiB before", "at most",
    )  # fmt: skip
    for what, size in sorted({(row["watch"], row["size"]) for row in rows}, key=lambda each: (each[0], each[1])):
        runs = [row for row in rows if (row["watch"], row["size"]) == (what, size)]
        run = sorted(runs, key=lambda row: row["seconds"])[len(runs) // 2]
        sides = [run["server"]["before_mib"], run["server"]["most_mib"], run["before_mib"], run["most_mib"]]
        rate = statistics.median(row["messages"] / row["seconds"] for row in runs)
        made.add_row(what, f"{size:,}", f"{run['seconds']:.2f}", f"{rate:,.0f}", *(f"{each:.0f}" for each in sides))
    return made


def _memory(rows: list[dict[str, Any]]) -> Table:
    made = _table(
        "Memory of a process, MiB",
        "process",
        *(f"{row['size']:,} tenants: at rest, {row['visits']:,} met" for row in rows),
    )
    for program in rows[0]["at_rest_mib"]:
        cells = [f"{row['at_rest_mib'][program]:.0f}  {row['visited_mib'][program]:.0f}" for row in rows]
        made.add_row(program, *cells)
    others = [row["another_process"] for row in rows]
    made.add_row("another service, all met", *(f"{each['before_mib']:.0f}  {each['after_mib']:.0f}" for each in others))
    made.add_row("keys in its directory", *(f"{each['entries']:,.0f}" for each in others))
    return made


def _rest(found: dict[str, Any]) -> Table:
    made = _table("And", "what", *(f"{row['size']:,} tenants" for row in found["made"]))
    for program in found["made"][0]["starting_seconds"]:
        made.add_row(f"start of {program}, s", *(f"{row['starting_seconds'][program]:.1f}" for row in found["made"]))
    made.add_row("doctor, s", *(f"{seconds:.1f}" for seconds in found["doctor"]))
    for program in found["memory"][0]["series"]:
        made.add_row(f"series of metrics of {program}", *(str(row["series"][program]) for row in found["memory"]))
    made.add_row("migrations, s", *(f"{row['seconds']:.2f}" for row in found["upgrades"]))
    made.add_row("a reader waits for them at most, s", *(f"{row['longest_wait']:.2f}" for row in found["upgrades"]))
    made.add_row("rows loaded by COPY per second", *(f"{row['rows_per_second']:,}" for row in found["made"]))
    return made
