"""The shell blocks of the pages for operators, run in their order against bare servers of PostgreSQL."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenantmesh.deploy.envoy.binary import binary
from tenantmesh.deploy.postgres import LOGIN_ROLES
from tenantmesh.deploy.stack.engine_user import engine_user
from tenantmesh.deploy.stack.engines import binaries
from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.deploy.stack.engines.passwords import SUPERUSER

ROOT = Path(__file__).resolve().parents[2]
OWN = "docs/how-to/use-your-own-postgres-and-redis.md"
OPERATIONS = "docs/operations.md"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_URL = re.compile(r"postgresql://(\w+):…@db/tenantmesh")
PASSWORD = "chosen by the reader"


def blocks(page: str) -> list[str]:
    """The shell blocks of a page."""
    return _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Reader:
    """Somebody in a checkout, with the programs of PostgreSQL and the superuser's password."""

    folder: Path
    engines: Engines

    def url(self, role: str) -> str:
        return f"postgresql://{role}:{PASSWORD.replace(' ', '%20')}@/tenantmesh?host={self.engines.places.sockets}"

    def run(self, script: str, answers: str = "", **variables: str) -> str:
        """What the commands print; each must succeed. `answers` is typed where a command asks."""
        script = _URL.sub(lambda found: self.url(found[1]), script)
        done = subprocess.run(
            ["/bin/bash", "-e", "-c", script],
            cwd=self.folder,
            env={**self._environment(), **variables},
            input=answers,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            start_new_session=True,  # without a terminal psql takes the password from its input
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TENANTMESH_", "PG"))}
        programs = [str(Path(sys.executable).parent), str(binaries.postgres_folder(engine_user()))]
        server = {"PGHOST": str(self.engines.places.sockets), "PGUSER": SUPERUSER, "PGPASSWORD": PASSWORD}
        return {**inherited, **server, "PATH": os.pathsep.join([*programs, os.environ["PATH"]])}


@contextmanager
def reader(folder: Path) -> Iterator[Reader]:
    """A reader with a server that nobody has touched."""
    folder.mkdir()
    (folder / "deploy").symlink_to(ROOT / "deploy")
    engines = Engines(folder / "state", durable=False, temporary=True)
    engines.open()
    try:
        engines.postgres.start()
        # All servers have one password of the superuser: the roles of a backup bring that of the old server.
        engines.postgres.sql(f"ALTER ROLE {SUPERUSER} PASSWORD '{PASSWORD}'")
        yield Reader(folder, engines)
    finally:
        engines.close()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader who has made the database and the keys."""
    database, keys, _ = blocks(OWN)
    with reader(tmp_path_factory.mktemp("pages") / "first") as made:
        made.run(database, answers=f"{PASSWORD}\n" * 2)
        for role in LOGIN_ROLES:
            made.run(f"psql -q -d tenantmesh -c \"ALTER ROLE {role} PASSWORD '{PASSWORD}'\"")
        assert len(re.findall("^tmk_", made.run(keys), re.MULTILINE)) == 4
        yield made


def keys_of(who: Reader) -> list[str]:
    listed = who.run("tenantmesh operator list", TENANTMESH_DATABASE_SYSTEM_URL=who.url("auth_directory"))
    return sorted(line.split()[2] for line in listed.splitlines())


def test_the_blocks_make_a_database_with_its_keys(first: Reader) -> None:
    assert keys_of(first) == ["auth_svc", "first", "tenant_svc", "tenant_worker"]
    first.run("tenantmesh migrate --check", TENANTMESH_DATABASE_MIGRATE_URL=first.url("tenantmesh_migrate"))
    assert (first.folder / "signing-keys.kek").stat().st_mode & 0o077 == 0


def test_the_edge_that_the_page_renders_starts(first: Reader) -> None:
    *_, edge = blocks(OWN)
    assert "\nenvoy -c envoy.json" in edge
    first.run(edge.replace("envoy -c", f"{binary()} --mode validate -c"))


def test_a_backup_is_restored_on_a_new_server_in_the_documented_order(first: Reader, tmp_path: Path) -> None:
    (restore,) = blocks(OPERATIONS)
    with reader(tmp_path / "second") as second:
        first.run(f"pg_dump -Fc tenantmesh > {second.folder}/tenantmesh.dump")
        first.run(f"pg_dumpall --roles-only > {second.folder}/roles.dump")
        second.run(restore, TENANTMESH_DATABASE_MIGRATE_URL=second.url("tenantmesh_migrate"))
        assert keys_of(second) == keys_of(first)
        owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('tenant', 'auth')"
        assert set(second.run(f'psql -qAt -d tenantmesh -c "{owners}"').split()) == {"tenant_owner", "auth_owner"}
