"""The prose rules of docs/contributing.md, as far as a machine can check them: riddles that were rewritten stay away.

The list is short on purpose. Each phrase hides the noun that the sentence is about, or stands for a term of the field.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.test_docs import FENCE, PAGES_OF_TODAY, ROOT, name_of
from tests.architecture.test_layout import PACKAGES, SOURCES

OPENINGS = re.compile(r"(?:What|Whatever|Who|Whoever|Whose)\b(?!.*\?$)")
"""First words of a docstring that take the place of a noun. A question may begin with them."""
PHRASES = re.compile(
    r"\b(?:whoever|whatever it|lies? ready|so much of|says nothing|as many as there|the features there are|"
    r"(?:is|are) told (?:by|of|to))\b",
    re.IGNORECASE,
)


FEWEST_WORDS = 3
"""Shorter texts are names, keys and parts of messages."""


def sentences(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The texts of a module that people read, each with its line: docstrings, messages to callers and operators, and
    the output of the command line. A value in a message stands as `…`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [str(each.value) if isinstance(each, ast.Constant) else "…" for each in node.values]
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def texts(path: Path) -> Iterator[tuple[str, str]]:
    """The sentences of a file, with their places."""
    for line, text in sentences(ast.parse(path.read_text())):
        if len(text.split()) >= FEWEST_WORDS:
            yield f"{path.relative_to(ROOT).as_posix()}:{line}", text


def comments(path: Path) -> Iterator[tuple[str, str]]:
    """The comments of a proto, block by block."""
    for block in re.finditer(r"(?:^ *//.*\n)+", path.read_text(), re.MULTILINE):
        yield path.relative_to(ROOT).as_posix(), " ".join(line.strip(" /") for line in block[0].splitlines())


def riddles(texts: Iterator[tuple[str, str]]) -> list[str]:
    """The texts with a riddle, as place and words."""
    return [
        f"{place}: {found[0]!r}"
        for place, text in texts
        if (found := OPENINGS.match(text) or PHRASES.search(" ".join(text.split())))
    ]


def in_package(package: str) -> list[str]:
    """The riddles in the texts of a package."""
    paths = [path for path in SOURCES if path.relative_to(ROOT).parts[0] == package]
    return [riddle for path in paths for riddle in riddles(texts(path))]


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_and_messages_name_what_they_are_about(package: str) -> None:
    assert not in_package(package), "rewrite these by docs/contributing.md, How we write"


def test_the_contract_names_what_it_is_about() -> None:
    paths = sorted((ROOT / "protos").rglob("*.proto"))
    assert not [riddle for path in paths for riddle in riddles(comments(path))]


@pytest.mark.parametrize("page", PAGES_OF_TODAY, ids=name_of)
def test_pages_name_what_they_are_about(page: Path) -> None:
    found = PHRASES.findall(" ".join(FENCE.sub("", page.read_text()).split()))
    assert not found


@pytest.mark.parametrize("text", ["What lies there.", "Ends the stream, whoever asks.", "The units that lie ready."])
def test_a_riddle_is_found(text: str) -> None:
    assert riddles(iter([("here", text)]))


@pytest.mark.parametrize(
    "source",
    [
        """raise NotFound("NOTE_NOT_FOUND", "Whoever asks gets nothing.")""",
        """raise ValueError(f"{name} lies ready for nobody")""",
        """FieldViolation("id", "is told by the caller")""",
        """console.note(f"{count} rows, whatever it costs")""",
        """def ask():\n    'What is asked.'""",
    ],
)
def test_a_riddle_is_found_where_people_read_it(source: str) -> None:
    found = [("here", text) for _, text in sentences(ast.parse(source))]
    assert riddles(iter(found))


@pytest.mark.parametrize("text", ["The tenant, or None.", "Return the units that are left.", "Who may call it?"])
def test_plain_words_pass(text: str) -> None:
    assert not riddles(iter([("here", text)]))
