"""PostgreSQL and Valkey as a stack starts them: they persist, keep strangers out, and are not started twice."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from tenantmesh.deploy.stack.engines.binaries import OLDER_POSTGRES_MAJOR
from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.deploy.stack.engines.valkey import Valkey
from tenantmesh.deploy.stack.errors import AlreadyRunningError, StackError
from tenantmesh.deploy.stack.migrations import migrate, revisions
from tenantmesh.deploy.stack.paths import SOCKET_NAME, SOCKET_PATH_LIMIT
from tenantmesh.deploy.stack.supervision.record import record_of, running


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, as a checkout in /srv would be; pytest's own is closed."""
    with tempfile.TemporaryDirectory(prefix="tenantmesh-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_data_survives_a_stop(open_folder: Path) -> None:
    with Engines(open_folder / "state") as engines:
        engines.postgres.sql("CREATE TABLE kept AS SELECT 42 AS answer", "tenantmesh")
        redis.Redis.from_url(engines.valkey.url.get_secret_value()).set("kept", "43")
    with Engines(open_folder / "state") as engines:
        assert engines.postgres.sql("SELECT answer FROM kept", "tenantmesh") == "42"
        assert redis.Redis.from_url(engines.valkey.url.get_secret_value()).get("kept") == b"43"


def test_nothing_runs_after_close(tmp_path: Path) -> None:
    engines = Engines(tmp_path / "state", temporary=True)
    engines.start()
    children = [child for child in (engines.postgres.child, engines.valkey.child) if child]
    engines.close()
    engines.close()
    assert len(children) == 2
    assert not any(child.process.alive() for child in children)
    assert running(engines.places.state) is None
    assert not engines.places.state.exists()
    assert not engines.places.data.exists()


def test_a_second_start_in_the_same_folder_is_refused_and_names_the_first(tmp_path: Path) -> None:
    with Engines(tmp_path / "state", temporary=True) as first:
        with pytest.raises(AlreadyRunningError, match=rf"already running here \(pid {os.getpid()}\)"):
            Engines(tmp_path / "state").start()
        assert first.postgres.sql("SELECT 1") == "1"


def test_strangers_find_every_door_closed(open_folder: Path) -> None:
    with Engines(open_folder / "state") as engines:
        places = engines.places
        assert mode(places.state) & stat.S_IRWXO == 0
        assert mode(places.data) == mode(places.sockets) == mode(places.logs) == 0o700
        assert mode(places.passwords) == mode(record_of(places.state)) == mode(places.log("postgres")) == 0o600
        assert mode(places.sockets / SOCKET_NAME) == mode(engines.valkey.socket) == 0o700
        assert engines.postgres.sql("SHOW listen_addresses") == ""


def test_root_itself_runs_no_database(open_folder: Path) -> None:
    with Engines(open_folder / "state") as engines:
        for child in (engines.postgres.child, engines.valkey.child):
            assert child is not None
            assert Path(f"/proc/{child.process.pid}").stat().st_uid != 0


def test_a_wrong_password_is_refused(tmp_path: Path) -> None:
    with Engines(tmp_path / "state", temporary=True) as engines:
        password = engines.places.passwords.read_text()
        engines.places.passwords.write_text(password.replace('"postgres": "', '"postgres": "x'))
        with pytest.raises(StackError, match="is not the one this data was made with"):
            engines.postgres.sql("SELECT 1")
        url = engines.valkey.url.get_secret_value().replace("unix://:", "unix://:x")
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(url).ping()


def test_no_password_shows_in_a_list_of_processes(tmp_path: Path) -> None:
    with Engines(tmp_path / "state", temporary=True) as engines:
        arguments = "".join(
            Path(f"/proc/{child.process.pid}/cmdline").read_text()
            for child in (engines.postgres.child, engines.valkey.child)
            if child
        )
        assert arguments
        for url in (engines.valkey.url, engines.valkey.admin_url):
            assert url.get_secret_value().split(":")[2].split("@")[0] not in arguments


@pytest.mark.parametrize(
    "command", ["KEYS *", "FLUSHALL", "CONFIG GET *", "MODULE LIST", "SHUTDOWN", "ACL LIST", "REPLICAOF a 1", "MONITOR"]
)
def test_the_products_valkey_user_may_do_nothing_dangerous(valkey: Valkey, command: str) -> None:
    with redis.Redis.from_url(valkey.url.get_secret_value()) as client:
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command.split())
        assert client.eval("return redis.call('EXISTS', KEYS[1])", 1, "counter") == 0


def test_a_long_path_gets_its_sockets_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 60) / ("b" * 60) / "state"
    with Engines(deep, temporary=True) as engines:
        assert len(str(engines.places.sockets / SOCKET_NAME)) <= SOCKET_PATH_LIMIT
        assert engines.postgres.sql("SELECT 1") == "1"
    assert not engines.places.sockets.exists()


def test_a_damaged_password_file_is_named(tmp_path: Path) -> None:
    state = tmp_path / "state"
    Engines(state).places.passwords.write_text("{")
    engines = Engines(state, temporary=True)
    with pytest.raises(StackError, match=r"credentials\.json is damaged"):
        engines.start()


def test_installing_the_roles_again_changes_nothing(tmp_path: Path) -> None:
    query = (
        "SELECT string_agg(rolname || rolcanlogin || coalesce(rolconfig::text, ''), ',' ORDER BY rolname) FROM pg_roles"
    )
    with Engines(tmp_path / "state", durable=False, temporary=True) as own:
        before = own.postgres.sql(query)
        own.postgres.install()
        assert own.postgres.sql(query) == before


def test_databases_are_installed_side_by_side(engines: Engines) -> None:
    """Roles are the server's: whoever installs a database changes those of all."""
    names = [f"beside_{n}" for n in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(engines.postgres.install, names))
    for name in names:
        assert engines.postgres.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'auth'", name) == "1"
        engines.postgres.drop(name)


def test_roles_and_migrations_work_on_the_older_postgres_too(tmp_path: Path) -> None:
    with Engines(tmp_path / "state", durable=False, temporary=True, major=OLDER_POSTGRES_MAJOR) as engines:
        assert engines.postgres.version.startswith(f"{OLDER_POSTGRES_MAJOR}.")
        engines.postgres.install()
        done = migrate(engines.postgres.url("tenantmesh_migrate"))
        assert all(each.head for each in done.values())
        assert not any(each.pending for each in revisions(engines.postgres.url("tenantmesh_migrate")).values())


def test_no_role_of_the_product_can_pass_row_security(engines: Engines) -> None:
    query = (
        "SELECT count(*) FROM pg_roles WHERE rolname ~ '^(tenant|auth)' AND (rolsuper OR rolbypassrls OR rolinherit)"
    )
    assert engines.postgres.sql(query) == "0"
