"""The commands of the documentation, run as a reader would: each page shows what the product answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.tools import tool
from tests.ports import stack_ports
from tests.transcripts.session import PAGES, ROOT, Session, started


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """One stack for all pages, so that no page takes what another needs."""
    tool("grpcurl")
    with started(tmp_path_factory.mktemp("reader"), stack_ports()) as running:
        yield running


@pytest.mark.parametrize("name", PAGES)
def test_the_page_shows_what_the_product_answers(session: Session, name: str) -> None:
    differences = session.run(name).differences
    assert not differences, "\n".join(["python -m tests.transcripts --write mends these:", *differences])


def test_a_page_that_says_something_else_is_found(session: Session, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ NAME=world\n$ echo hello $NAME\nhello moon\n```\n", encoding="utf-8")
    (difference,) = session.run(str(page)).differences
    assert difference.endswith("-hello moon\n+hello world")


def test_every_page_with_commands_is_run() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "how-to").glob("*.md")]
    with_commands = {page for page in pages if re.search(r"^\$ ", page.read_text(encoding="utf-8"), re.MULTILINE)}
    assert {str(page.relative_to(ROOT)) for page in with_commands} == set(PAGES)
