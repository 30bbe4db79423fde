"""The progress of an import for the person, and the rejected lines for a file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from types import TracebackType
from typing import Self, TypeAlias

from rich.console import Console as Terminal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tenantmesh.deploy.commands.import_slices import FileSlice
from tenantmesh.tenant.v1.tenant_bulk_service_pb2 import ImportCounts, ImportTenantsResponse

__all__ = ["Advance", "ImportReport", "progress_bar"]

_LONGEST_TEXT = 2000
"""The most of a rejected line that is repeated."""

Advance: TypeAlias = Callable[[int, ImportCounts], None]
"""Shows the place in the file, and the counts."""


class ImportReport:
    """Adds up counts, and writes rejected lines beside the file. Used as `with`: the file of rejected lines is written
    at the end. Without one, that of an earlier import is deleted."""

    def __init__(self, file: Path) -> None:
        self.path = file.with_name(f"{file.name}.rejected")
        self.counts = ImportCounts()

    def __enter__(self) -> Self:
        # Without a name, so that imports of the same file at once are apart, and that none stays after a kill.
        self._rejected = TemporaryFile("w+", encoding="utf-8", dir=self.path.parent)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._rejected:
            if self.counts.rejected:
                self._write()
            elif error is None:
                self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        self._rejected.seek(0)
        with NamedTemporaryFile("w", encoding="utf-8", dir=self.path.parent, delete=False) as whole:
            shutil.copyfileobj(self._rejected, whole)
        Path(whole.name).replace(self.path)

    def add(self, part: FileSlice, response: ImportTenantsResponse) -> None:
        """Add what became of a slice."""
        self.counts = self.counts_with(response.counts)
        for rejected in response.rejected_lines:
            text = part.line(rejected.line).decode("utf-8", "replace")[:_LONGEST_TEXT]
            line = {"line": rejected.line, "reason": rejected.reason, "text": text}
            self._rejected.write(json.dumps(line, ensure_ascii=False) + "\n")

    def counts_with(self, more: ImportCounts) -> ImportCounts:
        """Return the counts so far, with those of a slice."""
        names = [field.name for field in ImportCounts.DESCRIPTOR.fields]
        return ImportCounts(**{name: getattr(self.counts, name) + getattr(more, name) for name in names})

    def words(self, *, dry_run: bool) -> str:
        """Return the counts in a sentence."""
        counts = self.counts
        what = f"{counts.created} created, {counts.updated} updated, {counts.unchanged} unchanged"
        return f"{'dry run, nothing has changed: ' if dry_run else ''}{what}, {counts.rejected} rejected"


@contextmanager
def progress_bar(file: Path) -> Iterator[Advance]:
    """Show on a terminal how far in the file the import is."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    terminal = Terminal(stderr=True)
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        task = bar.add_task("importing", total=max(1, file.stat().st_size))

        def advance(place: int, counts: ImportCounts) -> None:
            done = counts.created + counts.updated + counts.unchanged
            bar.update(task, completed=place, description=f"{done} done, {counts.rejected} rejected")

        yield advance
