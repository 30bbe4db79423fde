"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["code", "table"]

_Row = Sequence[str]


def table(head: _Row, rows: Iterable[_Row]) -> str:
    """Return a table. Cells are Markdown, in which a bar or a line break would end the cell: both are taken out."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def code(text: str) -> str:
    """Return the text as code; nothing for nothing."""
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
