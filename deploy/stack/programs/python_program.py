"""A program of ours: `python -m` with settings in TENANTMESH_* variables."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tenantmesh.deploy.stack.ports import LOOPBACK, Port
from tenantmesh.deploy.stack.programs.program import Program, Surroundings
from tenantmesh.deploy.stack.supervision.command import Command
from tenantmesh.interceptors.caller import NO_USAGE, UsageScope
from tenantmesh.runtime import tuning
from tenantmesh.runtime.settings import ProcessSettings, variables

__all__ = ["PythonProgram", "module_command"]

Settings = Callable[["PythonProgram", Surroundings], Mapping[str, str]]
"""A group of settings, as variables of the environment (`environment` has them)."""

_STOP_SIGNALS = ((15, 15.0),)
_GIVEN_ONLY = frozenset(
    {
        *("TENANTMESH_TOKENS_KEK_FILE", "TENANTMESH_DATABASE_SYSTEM_URL", "TENANTMESH_DATABASE_MIGRATE_URL"),
        *("TENANTMESH_PURGE_KEK_FILE", "TENANTMESH_PURGE_DATABASE_URL"),
    }
)
"""Secrets that no program inherits from the user's environment: its row gives them, or it has none."""


@dataclass(frozen=True, kw_only=True)
class PythonProgram(Program):
    """A module that is run as a process of its own."""

    module: str
    """The module that `python -m` runs."""

    word: str
    """The name by which `tenantmesh serve` knows it."""

    reads: type[ProcessSettings] = ProcessSettings
    """The settings that it reads from the environment."""

    metrics: Port

    role: str = ""
    """The prefix of the database roles as which it logs in, and the schema that it uses. Empty: no database."""

    migrates: bool = False
    """Whether its module is the package with the schema's migrations, and with the tables in `tables.metadata`."""

    permissions: tuple[str, ...] | None = None
    """The permissions of its own API key in the mesh. None: it has no key."""

    usage: UsageScope = NO_USAGE
    """The meters and gauges that its key names."""

    settings: tuple[Settings, ...] = ()
    """The settings that follow from the stack. They win over the user's environment."""

    defaults: Mapping[str, str]
    """Settings for development, over which the user's environment wins."""

    @property
    def ports(self) -> tuple[Port, ...]:
        """The port of its metrics."""
        return (self.metrics,)

    def command(self, around: Surroundings) -> Command:
        """Return the command, with the user's environment between the defaults and the settings of the stack.

        The program does not inherit a setting of another program, or of the command line: it would refuse it.
        """
        kept_from_it = _GIVEN_ONLY | (around.known - variables(self.reads))
        inherited = {name: value for name, value in os.environ.items() if name.upper() not in kept_from_it}
        fixed = self.own_settings(around)
        for group in self.settings:
            fixed |= group(self, around)
        environment = {**tuning.ENVIRONMENT, **self.defaults, **inherited, **fixed}
        log = around.places.log(self.name)
        return Command(self.name, module_command(self.module), log, environment=environment, signals=_STOP_SIGNALS)

    def own_settings(self, around: Surroundings) -> dict[str, str]:
        """Return the settings that every program of its kind gets."""
        return {
            "TENANTMESH_MODE": "development",
            "TENANTMESH_TELEMETRY_METRICS_LISTEN": f"{LOOPBACK}:{around.ports[self.metrics.name]}",
        }


def module_command(module: str) -> tuple[str, ...]:
    """Return the arguments that run a module; the working folder is not searched for it."""
    return (sys.executable, "-P", "-m", module)
