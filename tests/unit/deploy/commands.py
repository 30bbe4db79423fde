"""Runs `tenantmesh` in this process, as its entry point does."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from tenantmesh.deploy import cli


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    exit_code: int
    output: str
    """What it wrote to standard output and standard error."""
    printed: str
    """What it wrote to standard output."""


def run(*arguments: str, stdin: str = "") -> Done:
    """Run a command. An error that is no message for a person is raised, as a traceback would be."""
    printed, complained = io.StringIO(), io.StringIO()
    code: int | str | None = 0
    with (
        redirect_stdout(printed),
        redirect_stderr(complained),
        mock.patch.object(sys, "argv", ["tenantmesh", *arguments]),
        mock.patch.object(sys, "stdin", io.StringIO(stdin)),
    ):
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
    assert code is None or isinstance(code, int)
    return Done(code or 0, printed.getvalue() + complained.getvalue(), printed.getvalue())
