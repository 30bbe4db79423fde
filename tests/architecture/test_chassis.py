"""The charter of `chassis`: two services use each of its modules, and none of them knows a noun of a service."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.test_layout import ROOT, SOURCES

CHASSIS = ROOT / "chassis"
PREFIX = ("tenantmesh", "chassis")
SERVICES = tuple(sorted(path.name for path in ROOT.glob("*_svc")))

# Modules with fewer than two services, each with the capability that will bring the second one.
EXCEPTIONS = {
    "event_log": "auth_svc/sessions: other processes follow revocations",
    "filters": "auth_svc/members: the list of a tenant's members",
    "jobs": "auth_svc/invitations: mail is sent by a job",
    "opaque": "auth_svc/members: page tokens",
    "outbox": "tenant_svc/lifecycle: auth_svc learns that a tenant was purged",
    "pages": "auth_svc/members: the list of a tenant's members",
}

# Folders of services whose nouns belong to the library's own vocabulary, so that chassis may use them too.
# A health check is the process's.
VOCABULARY = {"checks", "tenants", "tokens"}
# Folders that are no capabilities.
NO_NOUNS = {"migrations", "worker"}


def children() -> list[str]:
    """The modules and packages of chassis."""
    return sorted({path.relative_to(CHASSIS).parts[0].removesuffix(".py") for path in chassis_files()} - {"__init__"})


def chassis_files() -> list[Path]:
    return [path for path in SOURCES if CHASSIS in path.parents]


def imported(path: Path) -> Iterator[str]:
    """The children of chassis that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        for parts in (tuple(module.split(".")) for module in modules):
            if parts[:2] == PREFIX and len(parts) > len(PREFIX):
                yield parts[2]


@cache
def importers() -> dict[str, set[str]]:
    """By child of chassis, the services and the other children that import it."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in SOURCES:
        top, *rest = path.relative_to(ROOT).with_suffix("").parts
        if top in SERVICES or top == CHASSIS.name:
            for child in imported(path):
                found[child].add(top if top in SERVICES else rest[0])
    return found


def services_of(child: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """The services that use a child of chassis, directly or through another child."""
    # `capability` only names the types of what a capability may bring; the service that brings it is the user.
    users = importers()[child] - seen - {"capability"}
    services = users & set(SERVICES)
    return services.union(*(services_of(user, seen | {child}) for user in users - services))


def nouns() -> set[str]:
    """The nouns of the services: the names of their capability folders, in the plural and in the singular."""
    folders = {path.parent.name for service in SERVICES for path in (ROOT / service).glob("*/__init__.py")}
    return with_singulars(folders - VOCABULARY - NO_NOUNS)


def with_singulars(plurals: set[str]) -> set[str]:
    return plurals | {plural.removesuffix("s") for plural in plurals}


def snake(name: str) -> str:
    """A name of a class, function or module, as words between underscores."""
    return f"_{re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name).lower().strip('_')}_"


def names(path: Path) -> Iterator[str]:
    """The names of a module, its classes and its functions."""
    yield from path.relative_to(CHASSIS).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


@pytest.mark.parametrize("child", sorted(set(children()) - set(EXCEPTIONS)))
def test_two_services_use_a_module(child: str) -> None:
    users = services_of(child)
    assert len(users) > 1, (
        f"used by {sorted(users)}: move it there, or name the capability that will be its second user"
    )


@pytest.mark.parametrize("child", EXCEPTIONS)
def test_every_exception_is_needed(child: str) -> None:
    assert child in children()
    assert len(services_of(child)) < 2, "remove it: two services use the module"


@pytest.mark.parametrize("path", chassis_files(), ids=lambda path: path.relative_to(CHASSIS).as_posix())
def test_no_name_holds_a_noun_of_a_service(path: Path) -> None:
    found = {(name, noun) for name in names(path) for noun in nouns() if snake(noun) in snake(name)}
    assert not found, "name it for what it does for any service"


def test_the_words_of_the_library_are_folders_of_services() -> None:
    folders = {path.name for service in SERVICES for path in (ROOT / service).iterdir()}
    assert folders >= VOCABULARY | NO_NOUNS, "remove the others"


@pytest.mark.parametrize("word", sorted(VOCABULARY))
def test_chassis_uses_every_word_of_the_library(word: str) -> None:
    used = [name for path in chassis_files() for name in names(path)]
    assert [name for name in used for noun in with_singulars({word}) if snake(noun) in snake(name)], "remove it"


def test_the_package_lists_its_modules() -> None:
    text = ast.get_docstring(ast.parse((CHASSIS / "__init__.py").read_text())) or ""
    assert re.findall(r"^    (\w+)  ", text, re.MULTILINE) == children()
