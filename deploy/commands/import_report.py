"""The progress of an import for the person, and the rejected lines for a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console as Terminal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tenantmesh.deploy.commands.import_slices import FileSlice
from tenantmesh.tenant.v1.tenant_bulk_service_pb2 import ImportCounts, ImportTenantsResponse

__all__ = ["ImportReport", "progress_bar"]

_LONGEST_TEXT = 2000
"""The most of a rejected line that is repeated."""


class ImportReport:
    """Adds up counts, and writes rejected lines beside the file. Used as `with`: the file of rejected lines takes its
    name at the end, and is gone without one."""

    def __init__(self, file: Path) -> None:
        self.path = file.with_name(f"{file.name}.rejected")
        self.counts = ImportCounts()
        self._part = file.with_name(f"{file.name}.rejected.part")

    def __enter__(self) -> Self:
        self._opened = self._part.open("w", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()
        if self.counts.rejected:
            self._part.replace(self.path)
            return
        self._part.unlink(missing_ok=True)
        if error is None:
            self.path.unlink(missing_ok=True)  # of an earlier import

    def add(self, part: FileSlice, response: ImportTenantsResponse) -> None:
        """Add what became of a slice."""
        for field in ImportCounts.DESCRIPTOR.fields:
            more = getattr(self.counts, field.name) + getattr(response.counts, field.name)
            setattr(self.counts, field.name, more)
        for rejected in response.rejected_lines:
            text = part.line(rejected.line).decode("utf-8", "replace")[:_LONGEST_TEXT]
            line = {"line": rejected.line, "reason": rejected.reason, "text": text}
            self._opened.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._opened.flush()

    def words(self, *, dry_run: bool) -> str:
        """Return the counts in a sentence."""
        counts = self.counts
        what = f"{counts.created} created, {counts.updated} updated, {counts.unchanged} unchanged"
        return f"{'dry run, nothing has changed: ' if dry_run else ''}{what}, {counts.rejected} rejected"


@contextmanager
def progress_bar(file: Path) -> Iterator[Callable[[int, ImportCounts], None]]:
    """Show on a terminal how far in the file the import is. The function that it gives takes the place and the
    counts."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    terminal = Terminal(stderr=True)
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        task = bar.add_task("importing", total=max(1, file.stat().st_size))

        def advance(place: int, counts: ImportCounts) -> None:
            done = counts.created + counts.updated + counts.unchanged
            bar.update(task, completed=place, description=f"{done} done, {counts.rejected} rejected")

        yield advance
