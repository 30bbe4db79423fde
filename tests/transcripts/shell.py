"""A shell that runs the commands of a page, one after the other, and programs that go on beside it."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

__all__ = ["Background", "Shell", "shell"]

BASH = "/bin/bash"
_SETTLE_SECONDS = 0.5


class Shell:
    """Bash with its variables, from the first command to the last."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._process = process
        self._folder = folder
        self._environment = environment

    def run(self, command: str) -> str:
        """Return what the command prints, standard error included."""
        assert self._process.stdin
        assert self._process.stdout
        end = f"end-{secrets.token_hex(8)}"
        self._process.stdin.write(f"{command}\nprintf '\\n%s\\n' {end}\n")
        self._process.stdin.flush()
        output = ""
        for line in self._process.stdout:
            if line == f"{end}\n":
                # The line end before the mark is ours, unless it ended a last line that had none.
                return output[:-1] if output == "\n" or output.endswith("\n\n") else output
            output += line
        raise EOFError(f"the shell ended at: {command}")

    def value(self, name: str) -> str:
        """Return a variable of the shell."""
        return self.run(f'printf %s "${name}"').removesuffix("\n")

    def start(self, command: str) -> Background:
        """Start a command with the variables of the shell, beside it."""
        variables = {name: self.value(name) for name in ("OPERATOR", "KEY", "TOKEN", "JSON")}
        log = self._folder / f"{secrets.token_hex(4)}.log"
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                [BASH, "-c", command],
                cwd=self._folder,
                env={**self._environment, **variables},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Background(process, log)


class Background:
    """A command that goes on while its page does."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self._read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()

    def more(self) -> str:
        """Return what it has printed since the last look, once it has been silent for a moment."""
        time.sleep(_SETTLE_SECONDS)
        text = self._log.read_text(encoding="utf-8")
        new, self._read = text[self._read :], len(text)
        return new


@contextlib.contextmanager
def shell(folder: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
    """A shell in this folder. It ends with the context."""
    process = subprocess.Popen(
        [BASH, "--noprofile", "--norc"],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield Shell(process, folder, environment)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
