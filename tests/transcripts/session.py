"""Runs pages against a stack of their own, and says where a page and the product differ."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tenantmesh.deploy.stack.ports import PortNumbers, variable_of
from tenantmesh.deploy.stack.programs import table
from tests.dns_server import name_server
from tests.transcripts.masks import Masks, pairs, translated
from tests.transcripts.page import Block, Step, blocks_of, body_of, replaced
from tests.transcripts.shell import Background, Shell, shell

__all__ = ["PAGES", "ROOT", "Answered", "Session", "started"]

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "docs/tutorial.md",
    "docs/operations.md",
    "docs/how-to/call-over-rest.md",
    "docs/how-to/read-a-refusal.md",
    "docs/how-to/change-a-tenant.md",
    "docs/how-to/find-tenants.md",
    "docs/how-to/serve-a-tenant-under-its-own-host.md",
    "docs/how-to/delete-and-purge-a-tenant.md",
    "docs/how-to/price-a-plan.md",
    "docs/how-to/rotate-or-revoke-keys.md",
    "docs/how-to/brand-the-sign-in-page.md",
    "docs/how-to/let-a-tenant-set-up-its-own-host.md",
    "docs/how-to/create-many-tenants.md",
    "docs/how-to/call-every-method.md",
)
"""Every page with console blocks, in the order in which a reader may follow them on one stack."""

START = "make run"
_STARTED = "Ctrl-C stops everything."


@dataclass(frozen=True, slots=True)
class Answered:
    """A page, and its text with what the product answered."""

    name: str
    page: str
    answered: str
    differences: tuple[str, ...]


@dataclass(slots=True)
class Session:
    """A stack, in a folder that looks like a checkout to the commands of the pages."""

    folder: Path
    ports: PortNumbers
    environment: Mapping[str, str]
    start_output: str

    def run(self, name: str) -> Answered:
        """Run the blocks of a page, and compare what they print with what the page shows."""
        text = (ROOT / name).read_text(encoding="utf-8")
        with ExitStack() as stack:
            return _PageRun(self, name, text, stack.enter_context(shell(self.folder, self.environment)), stack).run()

    def here(self, command: str) -> str:
        """Return a command of a page with the ports of this stack."""
        for name, default in table.default_ports().items():
            command = re.sub(rf"(?<=:){default}\b", str(self.ports[name]), command)
        return command

    def there(self, output: str) -> str:
        """Return an output of this stack with the ports that the pages show."""
        for name, default in table.default_ports().items():
            output = re.sub(rf"\b{self.ports[name]}\b", str(default), output)
        return _shortened(output)


@dataclass(slots=True)
class _PageRun:
    session: Session
    name: str
    text: str
    shell: Shell
    opened: ExitStack
    shown: Masks = field(default_factory=Masks)
    found: Masks = field(default_factory=Masks)
    running: dict[str, Background] = field(default_factory=dict)

    def run(self) -> Answered:
        bodies, differences = [], []
        for block in blocks_of(self.text):
            bodies.append(body := self._body(block))
            differences += self._compared(block, body)
        words = dict(pairs(self.shown, self.found))
        answered = replaced(translated(self.text, words), bodies)
        return Answered(self.name, self.text, answered, tuple(differences))

    def _body(self, block: Block) -> str:
        if block.output_of:
            return _as_shown(self.session.there(self.running[block.output_of].more()), block.body)
        if block.background:
            (step,) = block.steps
            command = self._command(step)
            started = self.opened.enter_context(self.shell.start(command))
            self.running[block.background] = started
            return body_of(
                [Step(self.session.there(command), _as_shown(self.session.there(started.more()), step.output))]
            )
        return body_of([self._answered(step) for step in block.steps])

    def _answered(self, step: Step) -> Step:
        if step.command == START:
            return Step(START, self.session.start_output)
        command = self._command(step)
        return Step(*map(self.session.there, (command, self.shell.run(command))))

    def _command(self, step: Step) -> str:
        return translated(self.session.here(step.command), dict(pairs(self.shown, self.found)))

    def _compared(self, block: Block, body: str) -> list[str]:
        shown, found = (_spaced(masks.mask(text)) for masks, text in ((self.shown, block.body), (self.found, body)))
        if shown == found:
            return []
        lines = difflib.unified_diff(
            shown.splitlines(), found.splitlines(), "the page", "the product", lineterm="", n=1
        )
        return [f"{self.name}, line {block.line}:\n" + "\n".join(lines)]


@contextmanager
def started(folder: Path, ports: PortNumbers) -> Iterator[Session]:
    """Start a stack with its state in `folder`, as `make run` does in a checkout. Its DNS reads `zone.txt` there."""
    with ExitStack() as stack:
        zone = stack.enter_context(name_server(folder / "zone.txt"))
        yield stack.enter_context(_running(folder, ports, {"TENANTMESH_DOMAINS_RESOLVERS": zone.address}))


@contextmanager
def _running(folder: Path, ports: PortNumbers, settings: Mapping[str, str]) -> Iterator[Session]:
    for name in (".venv", ".tools"):
        (folder / name).symlink_to(ROOT / name)
    programs = folder / ".venv" / "bin"
    path = os.pathsep.join([str(programs), str(folder / ".tools" / "bin"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "COLUMNS": "120", "PYTHONUNBUFFERED": "1", **settings}
    environment |= {variable_of(name): str(number) for name, number in ports.items()}
    dev = subprocess.Popen(
        [".venv/bin/tenantmesh", "dev"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with dev:
        try:
            session = Session(folder, ports, environment, "")
            session.start_output = session.there(_read_start(dev))
            yield session
        finally:
            dev.terminate()
            dev.wait()
            subprocess.run([programs / "tenantmesh", "reset", "--yes"], cwd=folder, env=environment, check=True)


def _read_start(dev: subprocess.Popen[str]) -> str:
    assert dev.stdout
    output = ""
    for line in dev.stdout:
        output += line
        if _STARTED in line:
            return output
    raise EOFError(f"the stack did not start:\n{output}")


def _as_shown(output: str, shown: str) -> str:
    """Return the lines of an endless output that a page shows: as many lines as it has, checkpoints aside."""
    wanted = shown.count("\n")
    return "".join(output.splitlines(keepends=True)[:wanted])


def _shortened(output: str) -> str:
    """Return the output without HTTP's line ends and without tokens, and with data where an ordinary user has it."""
    output = re.sub(r"(?<=tmk_[0-9a-f]{32}_)\S+", "…", output)
    output = re.sub(r'(?<=Token":")[\w.-]{12,}(?=")', "…", output.replace("\r", ""))
    return re.sub(r"/var/lib/tenantmesh/data-\w+ +", ".tenantmesh/data                  ", output)


def _spaced(text: str) -> str:
    """Return the text with columns two spaces apart, since ports have four digits or five."""
    return re.sub(r"(?<=\S) {2,}", "  ", text)
