"""Logins that the database refuses: the log and the command line say which address is wrong, in the server's words."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from tenantmesh.runtime.database import Database, LoginRefused
from tenantmesh.runtime.settings import DatabaseSettings
from tests.fixtures.engines import WorkerDatabase
from tests.unit.deploy.commands import run


def wrong_password(url: SecretStr) -> str:
    user, _, place = url.get_secret_value().partition("@")
    return f"{user}-hunter2@{place}"


def wrong_database(url: SecretStr) -> str:
    return url.get_secret_value().replace("?", "-of-nobody?")


WRONG = [(wrong_password, "password authentication failed"), (wrong_database, "does not exist")]


@pytest.mark.parametrize(("spoil", "told"), WRONG)
@pytest.mark.parametrize("door", ["url", "system_url"])
async def test_a_service_names_the_variable(door: str, spoil: object, told: str, postgres: WorkerDatabase) -> None:
    assert callable(spoil)
    urls = {"url": postgres.url("tenant_app"), "system_url": postgres.url("tenant_directory")}
    urls[door] = SecretStr(spoil(urls[door]))
    database = Database(DatabaseSettings.model_validate(urls), schema="tenant")
    with pytest.raises(LoginRefused, match=told) as caught:
        await database.open()
    assert str(caught.value).startswith(f"TENANTMESH_DATABASE_{door.upper()}: ")
    assert "hunter2" not in str(caught.value)
    await database.close()


@pytest.mark.parametrize(("spoil", "told"), WRONG)
@pytest.mark.parametrize("arguments", [["migrate"], ["migrate", "--check"], ["operator", "list"]], ids=" ".join)
def test_a_command_says_it_in_a_line(
    arguments: list[str], spoil: object, told: str, postgres: WorkerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(spoil)
    monkeypatch.setenv("TENANTMESH_DATABASE_MIGRATE_URL", spoil(postgres.url("tenantmesh_migrate")))
    monkeypatch.setenv("TENANTMESH_DATABASE_SYSTEM_URL", spoil(postgres.url("auth_directory")))
    done = run(*arguments)
    assert done.exit_code == 1
    assert told in done.output
    assert "Check the address" in done.output
    assert "hunter2" not in done.output


def test_a_database_that_a_newer_version_has_migrated_is_told(
    postgres: WorkerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{postgres.name}_newer"
    postgres.engines.postgres.clone(name)
    try:
        postgres.engines.postgres.sql("UPDATE tenant.alembic_version SET version_num = '9999'", name)
        url = postgres.engines.postgres.url("tenantmesh_migrate", name).get_secret_value()
        monkeypatch.setenv("TENANTMESH_DATABASE_MIGRATE_URL", url)
        done = run("migrate")
        assert done.exit_code == 1
        assert "Can't locate revision identified by '9999'" in done.output
        assert "Run deploy/postgres/roles.sql" not in done.output
    finally:
        postgres.engines.postgres.drop(name)


def test_a_database_without_its_roles_rights_is_told_with_what_to_run(
    postgres: WorkerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{postgres.name}_restored"
    postgres.engines.postgres.clone(name)
    try:
        postgres.engines.postgres.sql("ALTER SCHEMA tenant OWNER TO CURRENT_USER", name)
        url = postgres.engines.postgres.url("tenantmesh_migrate", name).get_secret_value()
        monkeypatch.setenv("TENANTMESH_DATABASE_MIGRATE_URL", url)
        done = run("migrate", "--check")
        assert done.exit_code == 1
        assert "permission denied for schema tenant" in done.output
        assert "Run deploy/postgres/roles.sql" in done.output
    finally:
        postgres.engines.postgres.drop(name)
