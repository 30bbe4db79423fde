"""What auth_svc stored before it refused it: addresses with characters that show nothing, and keys without an end."""

from __future__ import annotations

import uuid

from tenantmesh.auth_svc.api_keys.bootstrap import list_keys
from tenantmesh.interceptors.caller import ALL_USAGE
from tenantmesh.runtime import migrations
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import a_copy, as_superuser, database_settings

HERE, THERE = uuid.uuid4(), uuid.uuid4()


async def add(database: WorkerDatabase, tenant: uuid.UUID, email: str, normalised: str) -> None:
    await as_superuser(
        database,
        "INSERT INTO auth.users VALUES ($1, gen_random_uuid(), $2, $3, 'A', 'x', '{}', 0, now())",
        tenant, email, normalised,
    )  # fmt: skip


async def test_addresses_of_before_show_every_character(postgres: WorkerDatabase) -> None:
    with a_copy(postgres) as own:
        for statement in (
            "ALTER TABLE auth.system_keys DROP CONSTRAINT system_keys_expire_time_check",
            "ALTER TABLE auth.system_keys DROP COLUMN meters, DROP COLUMN gauges",
            "DROP TABLE auth.purged_tenants CASCADE",
            "UPDATE auth.alembic_version SET version_num = '0003'",
            """INSERT INTO auth.system_keys VALUES (gen_random_uuid(), 'for-ever', 'OPERATOR', '{}', 'x', now(),
                'infinity')""",
        ):
            await as_superuser(own, statement)
        await add(own, HERE, "A@example.c\u200bom", "a@example.com")
        await add(own, HERE, "b\ufe0f@example.com", "b\ufe0f@example.com")
        await add(own, HERE, "c@example.com", "c@example.com")
        await add(own, HERE, "c\u3164@example.com", "c\u1160@example.com")
        await add(own, THERE, "c\u3164\U000e0001@example.com", "c\u1160\U000e0001@example.com")
        await migrations.upgrade("tenantmesh.auth_svc", own.url("tenantmesh_migrate"), "auth_owner")
        stored = await as_superuser(own, "SELECT tenant_id, email, email_normalised FROM auth.users")
        keys = await as_superuser(own, "SELECT expire_time FROM auth.system_keys WHERE name = 'for-ever'")
        of_before = await list_keys(database_settings(own))
    assert sorted(tuple(row.values()) for row in stored) == sorted(
        [
            (HERE, "A@example.com", "a@example.com"),
            (HERE, "b@example.com", "b@example.com"),
            (HERE, "c@example.com", "c@example.com"),
            (HERE, "c\u3164@example.com", "c\u1160@example.com"),  # the address that it shows is another account's
            (THERE, "c@example.com", "c@example.com"),
        ]
    )
    assert [row["expire_time"] for row in keys] == [None]
    assert [key.usage for key in of_before if key.name == "for-ever"] == [ALL_USAGE], "it may use what it could"
