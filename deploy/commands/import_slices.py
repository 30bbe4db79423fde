"""A file of lines in slices that a call may hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tenantmesh.deploy.stack.errors import StackError

__all__ = ["FileSlice", "slices_of"]

_MOST_LINES = 5000
_MOST_BYTES = 900_000
"""Below the limit of a request, 1 MiB."""
_LONGEST_LINE = 64 * 1024
"""As the service has it. Of a longer line one byte more is sent, so that the service rejects it."""


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Lines that follow one another.

    first: the number of the first one.
    end: the place in the file after the last one.
    """

    first: int
    lines: tuple[bytes, ...]
    end: int

    @property
    def data(self) -> bytes:
        """The lines as a call holds them."""
        return b"".join(self.lines)

    @property
    def empty(self) -> bool:
        """Whether no line says anything."""
        return not any(line.strip() for line in self.lines)

    def place(self, percent: int) -> int:
        """Return the place in the file after so many hundredths of the slice."""
        return self.end - len(self.data) * (100 - percent) // 100

    def line(self, number: int) -> bytes:
        """Return the line of that number."""
        return self.lines[number - self.first].rstrip(b"\r\n")


def slices_of(file: Path) -> Iterator[FileSlice]:
    """Yield the lines of the file that say anything. Raises StackError for a file that can't be read."""
    try:
        with file.open("rb") as opened:
            yield from (part for part in _slices(opened) if not part.empty)
    except OSError as error:
        raise StackError(f"{file} can't be read: {error.strerror}.") from error


def _slices(opened: BinaryIO) -> Iterator[FileSlice]:
    first, number, size, lines = 1, 1, 0, list[bytes]()
    while line := _line(opened):
        if lines and (size + len(line) > _MOST_BYTES or len(lines) == _MOST_LINES):
            yield FileSlice(first, tuple(lines), opened.tell() - len(line))
            first, size, lines = number, 0, []
        lines.append(line)
        number, size = number + 1, size + len(line)
    if lines:
        yield FileSlice(first, tuple(lines), opened.tell())


def _line(opened: BinaryIO) -> bytes:
    line = opened.readline(_LONGEST_LINE + 1)
    rest = line
    while len(rest) > _LONGEST_LINE and not rest.endswith(b"\n"):
        rest = opened.readline(_LONGEST_LINE + 1)
        if not rest or rest.endswith(b"\n"):
            return line + b"\n"
    return line
