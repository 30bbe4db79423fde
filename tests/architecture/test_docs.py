"""The pages are complete, current and connected: what can be compared with the code is."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantmesh.tenant_svc.history import events as history
from tenantmesh.tenant_svc.tenants import events as tenants
from tests.architecture.test_contract import documented
from tooling.reference import errors
from tooling.reference.__main__ import PAGES, stale

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CURSORS = (tenants.CURSORS, history.CURSORS)
REFERENCE = DOCS / "reference"
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
VARIABLE = re.compile(r"\bTENANTMESH_[A-Z][A-Z_]*[A-Z]\b")
# A path of the repository, in backticks: it begins with a folder at its top, and has no placeholder.
PATH = re.compile(
    r"`((?:\.ci|auth_svc|chassis|console|deploy|docs|gen|interceptors|protos|runtime|tenant_svc|tests|tooling)/[\w./-]*)`"
)
SOURCE = re.compile(r"`((?:\w+/)*\w+\.(?:py|proto|sql|lua|toml|binpb|sh))`")
"""A file that has the name of a source."""
TEST = re.compile(r"`(test_\w+)`")
# Roots of folders that exist on one machine only, as a path begins with them.
MACHINE = re.compile(r"(?<![\w.}/-])/(?:home|root|Users|work|tmp|private|mnt|srv)/\S")


def files() -> list[Path]:
    """Every file that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).exists()]


FILES = {f"/{path.relative_to(ROOT).as_posix()}" for path in files()}
PAGES_OF_ALL = [path for path in files() if path.suffix == ".md"]
PAGES_OF_TODAY = [path for path in PAGES_OF_ALL if not path.is_relative_to(DOCS / "decisions")]
"""Without the decisions, which are left as they were written."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def links(path: Path) -> Iterator[tuple[str, str]]:
    """The relative links of a page: the path, and the heading in it."""
    for target in LINK.findall(FENCE.sub("", path.read_text())):
        if not re.match(r"[a-z]+:", target):
            file, _, heading = target.partition("#")
            yield file, heading


def anchors(path: Path) -> set[str]:
    """The anchors that a page's headings get."""
    titles = HEADING.findall(FENCE.sub("", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES_OF_ALL, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for file, heading in links(page):
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{file} does not exist"
        assert not heading or heading in anchors(target), f"{file} has no heading {heading}"


def test_pages_are_found_with_what_they_name() -> None:
    """The tests of single pages pass for a page without links, paths or names; those of all pages are many."""
    for pattern in (LINK, PATH, SOURCE, VARIABLE, TEST):
        assert len([page for page in PAGES_OF_TODAY if pattern.search(FENCE.sub("", page.read_text()))]) > 1, pattern


@pytest.mark.parametrize("page", PAGES_OF_TODAY, ids=name_of)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    missing = {name for name in PATH.findall(text) if not (ROOT / name).exists()}
    assert not missing, "name the files where they are now"


@pytest.mark.parametrize("page", PAGES_OF_TODAY, ids=name_of)
def test_every_source_that_a_page_names_exists(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    missing = {name for name in SOURCE.findall(text) if not any(path.endswith(f"/{name}") for path in FILES)}
    assert not missing, "name the files as they are called now"


@pytest.mark.parametrize("page", PAGES_OF_ALL, ids=name_of)
def test_no_page_knows_the_machine_it_was_written_on(page: Path) -> None:
    found = [line for line in page.read_text().splitlines() if MACHINE.search(line)]
    assert not found


def test_every_page_can_be_found_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [DOCS / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            waiting += [(page.parent / file).resolve() for file, _ in links(page) if file]
    lost = {page for page in PAGES_OF_ALL if page.is_relative_to(DOCS)} - seen
    assert not lost, "link these from docs/README.md or from a page that it leads to"


def test_the_derived_pages_are_current() -> None:
    assert not stale(), "run: python -m tooling.reference"


def test_every_derived_page_says_that_it_is() -> None:
    assert all("python -m tooling.reference" in (REFERENCE / page).read_text().splitlines()[0] for page in PAGES)


def test_every_error_reason_is_documented() -> None:
    page = (REFERENCE / "errors.md").read_text()
    missing = {reason for reason in documented() - {"UNSPECIFIED"} if f"| `{reason}` |" not in page}
    assert not missing


@pytest.mark.parametrize("package", errors.GROUPS)
def test_every_error_reason_says_what_it_means(package: str) -> None:
    unsaid = [reason for reason, text in errors.reasons(package) if len(text.split()) < 5]
    assert not unsaid, "say in error_reason.proto what the reason means, and what to do"


def test_every_variable_that_the_code_reads_is_documented() -> None:
    known = (REFERENCE / "settings.md").read_text() + (REFERENCE / "command-line.md").read_text()
    packages = ("runtime", "chassis", "tenant_svc", "auth_svc", "deploy", "interceptors")
    paths = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    read = {(name, name_of(path)) for path in paths for name in VARIABLE.findall(path.read_text())}
    assert read, "the code names the variables that it reads"
    assert not {(name, path) for name, path in read if f"`{name}" not in known}, "explain it in docs/reference"


@pytest.mark.parametrize("page", PAGES_OF_ALL, ids=name_of)
def test_no_page_speaks_of_a_variable_that_does_not_exist(page: Path) -> None:
    known = (REFERENCE / "settings.md").read_text() + (REFERENCE / "command-line.md").read_text()
    assert set(VARIABLE.findall(page.read_text())) <= set(VARIABLE.findall(known))


def test_every_decision_is_listed() -> None:
    listed = {file for file, _ in links(DOCS / "decisions" / "README.md")}
    assert listed == {path.name for path in (DOCS / "decisions").glob("0*.md")}


def test_every_test_that_a_page_names_exists() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for page in PAGES_OF_ALL:
        named = set(TEST.findall(page.read_text()))
        missing = {name for name in named if f"def {name}(" not in tests}
        assert not missing, f"{name_of(page)} names tests that do not exist: {missing}"


def _is_cursor(text: str) -> bool:
    for cursors in CURSORS:
        with contextlib.suppress(ValueError):
            cursors.open(text)
            return True
    return False


@pytest.mark.parametrize("page", PAGES_OF_TODAY, ids=name_of)
def test_every_cursor_on_a_page_is_one(page: Path) -> None:
    """Also beside the console blocks, which are run."""
    shown = re.findall(r'(?:cursor=|"cursor":"|^id: )([\w-]+)', page.read_text(), re.MULTILINE)
    assert not [text for text in shown if not _is_cursor(text)]


@pytest.mark.parametrize("page", PAGES_OF_TODAY, ids=name_of)
def test_a_page_that_tells_ports_of_workers_names_the_step(page: Path) -> None:
    for sentence in re.split(r"(?<=[.;])\s", FENCE.sub("", page.read_text())):
        if re.search(r"[Ww]orker \*i\*.*\bport|[Ww]orker \*i\*.*\badds\b", sentence, re.DOTALL):
            assert re.search(r"\bthe step\b|_WORKER_PORT_STEP", sentence), sentence
