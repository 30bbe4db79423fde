"""The command line: `python -m tests.transcripts [--write]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tenantmesh.deploy.stack.programs import table
from tests.transcripts.session import PAGES, ROOT, Session, started


def main() -> int:
    """Run every page and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.transcripts", description="Runs the pages' commands.")
    parser.add_argument("--write", action="store_true", help="write the answers into the pages; uses the default ports")
    write: bool = parser.parse_args().write
    ports = table.default_ports() if write else table.any_ports().settled()
    with tempfile.TemporaryDirectory() as folder, started(Path(folder), ports) as session:
        wrong = sum([_page(session, name, write=write) for name in PAGES])
    return 1 if wrong and not write else 0


def _page(session: Session, name: str, *, write: bool) -> bool:
    """Run a page, and return whether it differs from the product."""
    sys.stdout.write(f"{name}\n")
    done = session.run(name)
    for difference in done.differences:
        sys.stdout.write(f"{difference}\n")
    if write and done.differences:
        (ROOT / name).write_text(done.answered, encoding="utf-8")
    return bool(done.differences)


if __name__ == "__main__":
    sys.exit(main())
