"""A row of the table of programs, and the surroundings in which its program starts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from tenantmesh.deploy.stack.engines.postgres import Postgres
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.deploy.stack.paths import Places
from tenantmesh.deploy.stack.ports import Port, PortNumbers
from tenantmesh.deploy.stack.supervision.command import Command

__all__ = ["AddressLine", "Program", "ProgramState", "Surroundings"]

AddressLine = tuple[str, str, str]
"""A line of the addresses that `tenantmesh dev` prints: part, address, remark."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The stack in which a program is started: its ports and folders, and the two engines.

    known: the variables of the environment that the command line or any program reads. A program inherits those that it
    reads itself, and the variables of others.
    cors_origins: the origins of pages that may call the edge.
    edge_limits: limits of the edge that are not the default, each as `name=value`.
    """

    ports: PortNumbers
    places: Places
    postgres: Postgres
    store: Store
    known: frozenset[str]
    cors_origins: tuple[str, ...] = ()
    edge_limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProgramState:
    """Whether a program does its work, and a phrase that says so."""

    good: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class Program(ABC):
    """A program that every stack starts, supervises and stops."""

    name: str
    """The part's name: in messages, in the run's record, and for its key and its log."""

    waits_for: tuple[str, ...] = ()
    """The programs that must be ready before this one is started, by their names."""

    start_seconds: ClassVar[float] = 60.0
    """How long the program may take to be ready."""

    @property
    def title(self) -> str:
        """The part as a step of the stack's start."""
        return self.name

    @property
    @abstractmethod
    def ports(self) -> tuple[Port, ...]:
        """Every port on which it listens."""

    @abstractmethod
    def detail(self, ports: PortNumbers) -> str:
        """Return what the step says beside the title."""

    @abstractmethod
    def address(self, ports: PortNumbers) -> str:
        """Return where it answers, `host:port` for gRPC or a URL. `examine` takes this address."""

    @abstractmethod
    def address_lines(self, ports: PortNumbers) -> list[AddressLine]:
        """Return the lines that tell a person where it answers."""

    @abstractmethod
    def command(self, around: Surroundings) -> Command:
        """Return the command that starts it."""

    @abstractmethod
    def examine(self, address: str) -> ProgramState:
        """Ask the program at this address whether it does its work."""

    def missing(self) -> str:
        """Return why this machine can't run it, as a line for a person; empty when it can."""
        return ""
