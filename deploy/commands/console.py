"""How the commands speak: aligned lines that carry the product's name, coloured on a terminal, plain in a pipe."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console as Terminal
from rich.markup import escape
from rich.table import Table

__all__ = ["PRODUCT", "Console"]

PRODUCT = "tenantmesh"
_PART_WIDTH = 22
_DETAIL_WIDTH = 36
_PIPE_WIDTH = 200


class Console:
    """Writes lines for a person. Also a `deploy.stack.progress.Progress`."""

    def __init__(self) -> None:
        # Without emoji: a name such as `:bomb:` is printed as it was given.
        self._out = Terminal(highlight=False, soft_wrap=True, emoji=False)
        self._err = Terminal(highlight=False, soft_wrap=True, emoji=False, stderr=True)

    @contextmanager
    def step(self, part: str, detail: str) -> Iterator[None]:
        """Print a line for a part: at once on a terminal, finished with ok or failed and the seconds that it took."""
        begun = time.monotonic()
        line = f"[dim]{PRODUCT}:[/] {escape(part):<{_PART_WIDTH}} {escape(detail):<{_DETAIL_WIDTH}}"
        if self._out.is_terminal:
            self._out.print(line, end="\r")
        try:
            yield
        except BaseException as error:
            self._out.print(f"{line} [red]{'failed' if isinstance(error, Exception) else 'given up'}[/]")
            raise
        self._out.print(f"{line} [green]ok[/] {time.monotonic() - begun:5.1f}s")

    def note(self, text: str) -> None:
        """Print a line that says what happened."""
        self._out.print(f"[dim]{PRODUCT}:[/] {escape(text)}")

    def aside(self, text: str) -> None:
        """Print a line for the person on standard error, beside what a program reads."""
        self._err.print(f"[dim]{PRODUCT}:[/] {escape(text)}")

    def error(self, text: str, *remedies: str) -> None:
        """Print an error and below it what to do, a line each, on standard error."""
        self._err.print(f"[dim]{PRODUCT}:[/] [red]{escape(text)}[/]")
        for remedy in filter(None, remedies):
            self._err.print(f"{'':<{len(PRODUCT) + 1}} [yellow]{escape(remedy)}[/]")

    def plain(self, text: str = "") -> None:
        """Print text as it is: to be copied, or read by a program."""
        self._out.print(text, markup=False)

    def json(self, value: Any) -> None:
        """Print a value for a program. Names in it are lowerCamelCase, as in the API."""
        self.plain(json.dumps(value, indent=2))

    def title(self, text: str) -> None:
        """Print a heading."""
        self._out.print(f"[bold]{escape(text)}[/]")

    def verdict(self, *, good: bool, what: str, text: str) -> None:
        """Print the finding of a check."""
        mark = "[green]ok   [/]" if good else "[red]wrong[/]"
        self._out.print(f"{mark} {escape(what):<{_PART_WIDTH}} {escape(text)}")

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str | int]]) -> None:
        """Print a table. Numbers stand at the right."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for place, head in enumerate(heads):
            numbers = bool(rows) and all(isinstance(row[place], int) for row in rows)
            table.add_column(escape(head), justify="right" if numbers else "left", overflow="fold")
        for row in rows:
            table.add_row(*(escape(str(cell)) for cell in row))
        if self._out.is_terminal:
            self._out.print(table, soft_wrap=False)
            return
        with self._out.capture() as drawn:  # for a file or a pipe: wide, and without spaces at the ends of lines
            self._out.print(table, soft_wrap=False, width=_PIPE_WIDTH)
        self.plain("\n".join(line.rstrip() for line in drawn.get().splitlines()))

    def remedy(self, text: str) -> None:
        """Print the remedy of the finding above."""
        self._out.print(f"      {'':<{_PART_WIDTH}} [yellow]-> {escape(text)}[/]")
