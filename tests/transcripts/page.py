"""A page as blocks of commands with their outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Block", "Step", "blocks_of", "replaced"]

PROMPT = "$ "
_BLOCK = re.compile(
    r"(?:^<!-- (?P<kind>background|output of): (?P<name>\w+) -->\n)?^```console\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and the output that the page shows."""

    command: str
    output: str


@dataclass(frozen=True, slots=True)
class Block:
    """A console block: its steps, or the output of a command that another block began."""

    line: int
    body: str
    background: str = ""
    output_of: str = ""

    @property
    def steps(self) -> list[Step]:
        """The commands of the block, each with its output."""
        parts = re.split(r"^\$ ", self.body, flags=re.MULTILINE)
        return [Step(*_cut(part)) for part in parts if part]


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the console blocks of a page, in order."""
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("body")) + 1
        kind, name = found["kind"], found["name"] or ""
        background, output_of = (name if kind == wanted else "" for wanted in ("background", "output of"))
        yield Block(line, found["body"], background, output_of)


def replaced(text: str, bodies: list[str]) -> str:
    """Return the page with these bodies of its blocks, in order."""
    left = iter(bodies)

    def with_next(found: re.Match[str]) -> str:
        return found[0].replace(f"```console\n{found['body']}", f"```console\n{next(left)}", 1)

    return _BLOCK.sub(with_next, text)


def body_of(steps: list[Step]) -> str:
    """Return the body of a block with these steps."""
    return "".join(f"{PROMPT}{step.command}\n{step.output}" for step in steps)


def _cut(part: str) -> tuple[str, str]:
    """Cut a step into its command, which a backslash continues on the next line, and its output."""
    lines = part.splitlines(keepends=True)
    end = next(number for number, line in enumerate(lines) if not line.endswith("\\\n")) + 1
    return "".join(lines[:end]).rstrip("\n"), "".join(lines[end:])
