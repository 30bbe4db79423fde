"""`python -m tooling.reference` writes the derived pages; `--check` says which of them are stale, and exits 1."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tooling.reference import api, commands, errors, parts, settings

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "api.md": api.page,
    "command-line.md": commands.page,
    "errors.md": errors.page,
    "settings.md": settings.page,
}
NOTICE = "<!-- Derived. Change its source, then run: python -m tooling.reference -->\n\n"


def stale() -> list[str]:
    """Return the names of the pages that differ from what would be written now."""
    names = [name for name, page in PAGES.items() if _written(FOLDER / name) != NOTICE + page()]
    written = {name: _written(ROOT / name) for name in parts.PAGES}
    return names + [name for name, page in written.items() if parts.with_derived_parts(page, parts.PAGES[name]) != page]


def write() -> None:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(NOTICE + page(), encoding="utf-8")
    for name, expected in parts.PAGES.items():
        (ROOT / name).write_text(parts.with_derived_parts(_written(ROOT / name), expected), encoding="utf-8")


def _written(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main() -> None:
    """Write or check the pages, as the command line says."""
    if "--check" not in sys.argv[1:]:
        write()
    elif names := stale():
        sys.exit(f"stale pages: {', '.join(names)}; run: python -m tooling.reference")


if __name__ == "__main__":
    main()
