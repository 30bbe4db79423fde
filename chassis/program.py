"""The main function of a process: it reads the settings from the environment and runs, or names the wrong settings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError

from tenantmesh.runtime.server import REFUSED
from tenantmesh.runtime.settings import ProcessSettings, wrong_settings

__all__ = ["main"]

_S = TypeVar("_S", bound=ProcessSettings)


def main(name: str, settings: type[_S], run: Callable[[_S], int]) -> int:
    """Read the settings from the environment, run, and return the exit status.

    When a setting is missing or wrong, write a line for each to standard error and return REFUSED (78).
    """
    try:
        given = settings.model_validate({})
    except (ValidationError, SettingsError) as error:
        sys.stderr.write(f"{name} refuses to start; correct these settings:\n{wrong_settings(error, settings)}\n")
        return REFUSED
    return run(given)
