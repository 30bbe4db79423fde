"""How PostgreSQL finds the tenants of a list among 100,000: it reads an index that fits the filter or the order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from tenantmesh.chassis.filters.places import SortPlace
from tenantmesh.interceptors.tenants import TenantState
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.tenants import list_repository
from tenantmesh.tenant_svc.tenants.list_statements import page_statements, total_statements
from tenantmesh.tenant_svc.tenants.query import ORDERS, TenantQuery
from tenantmesh.tenant_svc.tenants.rows import tenant_of
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.listed import query

TENANTS = 100_000
_FILL = f"""
INSERT INTO tenant.tenants (
    tenant_id, slug, display_name, plan_id, plan_version, state, create_time, update_time, version, position,
    labels, region, external_id, parent_id, login_hosts, delete_time
)
SELECT
    ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    'scale-' || n, 'Company ' || n || ' of ' || md5((n % 500)::text), 'few_' || n % 20, 1 + n % 3,
    CASE WHEN n % 1000 = 1 THEN 'SUSPENDED' WHEN n % 1000 = 2 THEN 'DELETED' ELSE 'ACTIVE' END,
    timestamptz '2020-01-01Z' + n * interval '1 minute', timestamptz '2025-01-01Z' - n * interval '1 minute', 1, n,
    jsonb_build_object('env', CASE WHEN n % 2 = 0 THEN 'prod' ELSE 'test' END, 'team', 'team-' || n % 2000)
        || CASE WHEN n % 10000 = 5 THEN '{{"pilot": "yes"}}'::jsonb ELSE '{{}}'::jsonb END,
    (ARRAY['eu', 'us', 'ap'])[1 + n % 3], 'crm-' || n,
    CASE WHEN n % 5000 = 7 THEN '01900000-0000-7000-8000-000000000001'::uuid END,
    CASE WHEN n % 10 = 3 THEN ARRAY['app' || n || '.example'] ELSE '{{}}' END,
    CASE WHEN n % 1000 = 2 THEN now() END
FROM generate_series(1, {TENANTS}) AS n
"""  # fmt: skip

_FILL_DOMAINS = """
INSERT INTO tenant.email_domains (
    tenant_id, proof_id, domain, state, reason, state_time, create_time, next_check_time, announced, history
)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, gen_random_uuid(), 'd' || n || '.example',
    CASE WHEN n % 2 = 0 THEN 'VERIFIED' ELSE 'PENDING' END, '', now(), now(), now(), true, '[]'
FROM generate_series(1, 20000) AS n
"""

_INDEXES = """
SELECT indexname AS name, indexdef AS definition FROM pg_indexes
WHERE schemaname = 'tenant' AND tablename = 'tenants' AND indexname LIKE '%\\_idx'
"""


@pytest.fixture(scope="module")
async def full(postgres: WorkerDatabase) -> AsyncIterator[Any]:
    """A transaction with 100,000 tenants, seen by the role that lists them. It is rolled back."""
    connection = await asyncpg.connect(postgres.admin_url.get_secret_value())
    transaction = connection.transaction()
    await transaction.start()
    indexes = await connection.fetch(_INDEXES)  # taken away while the rows come: ten times as fast
    await connection.execute("; ".join(f"DROP INDEX tenant.{index['name']}" for index in indexes))
    await connection.execute(f"SET LOCAL session_replication_role = replica; {_FILL}; {_FILL_DOMAINS}")
    await connection.execute("; ".join(index["definition"] for index in indexes))
    await connection.execute("ANALYZE tenant.tenants; ANALYZE tenant.email_domains")
    await connection.execute("SET LOCAL ROLE tenant_directory")
    yield connection
    await transaction.rollback()
    await connection.close()


async def plan_of(full: Any, sql: str, arguments: list[Any]) -> dict[str, Any]:
    prepared = await full.prepare(f"EXPLAIN (FORMAT JSON) {sql}", name="")
    (row,) = await prepared.fetch(*arguments)
    return dict(json.loads(row[0])[0]["Plan"])


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def indexes(
    full: Any, filter_text: str, order_by: str = "", *, deleted: bool = False, statement_number: int = -1
) -> set[str]:
    """The indexes that a page of the list reads. It reads nothing else: no table, and no index from end to end."""
    asked = query(filter_text, order_by, deleted=deleted)
    statement = page_statements(asked, ())[statement_number]
    plan = await plan_of(full, statement.sql, statement.arguments({**asked.selection.parameters, "size": 51}))
    kinds = {node["Node Type"] for node in nodes(plan)}
    assert not {kind for kind in kinds if "Seq Scan" in kind or "Gather" in kind}, plan
    return {node["Index Name"] for node in nodes(plan) if "Index Name" in node}


THEN_BY_ID = {"tenants_plan_idx", "tenants_region_idx", "tenants_state_idx"}
"""Indexes of one value and then of ids: along them a list is in the order of ids too. The primary key's costs a little
more once rows have come and gone."""
FOUND = "01900000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("filter_text", "index"),
    [
        (f'id = "{FOUND}"', "tenants_pkey"),
        ("slug = scale-77", "tenants_slug_idx"),
        ("slug = scale-7777*", "tenants_slug_idx"),
        ('display_name = "Company 7777 *"', "tenants_display_name_idx"),
        ("plan_id = rare", "tenants_plan_idx"),
        ("region = nowhere", "tenants_region_idx"),
        ("external_id = crm-77", "tenants_external_id_key"),
        ("external_id = crm-7777*", "tenants_external_id_key"),
        (f'parent_id = "{FOUND}"', "tenants_parent_idx"),
        ("state = SUSPENDED", "tenants_state_idx"),
        ("labels.team = team-7", "tenants_labels_idx"),
        ("labels.pilot:*", "tenants_labels_idx"),
        ("labels:pilot", "tenants_labels_idx"),
        ("labels.nothing = nobody", "tenants_labels_idx"),
        ("login_hosts:APP13.example", "tenants_login_hosts_idx"),
        ("login_hosts:nowhere.example", "tenants_login_hosts_idx"),
        ("create_time > 2020-03-01T00:00:00Z AND create_time < 2020-03-01T00:10:00Z", "tenants_create_time_idx"),
        ("update_time > 2024-12-31T23:50:00Z AND update_time < 2025-01-01T00:00:00Z", "tenants_update_time_idx"),
        ("777", "tenants_words_idx"),
        ("company 777", "tenants_words_idx"),
        ("nobody", "tenants_words_idx"),
    ],
)
@pytest.mark.parametrize("order_by", ["", "display_name desc"])
async def test_a_condition_that_few_tenants_match_reads_its_index(
    full: Any, filter_text: str, order_by: str, index: str
) -> None:
    assert await indexes(full, filter_text, order_by) == {index}


@pytest.mark.parametrize(
    ("order_by", "index"), [("", "tenants_pkey"), ("slug", "tenants_slug_idx"), ("slug desc", "tenants_slug_idx")]
)
async def test_a_search_looks_at_the_next_tenants_of_the_order_first(full: Any, order_by: str, index: str) -> None:
    assert await indexes(full, "company AND state = ACTIVE", order_by, statement_number=0) == {index}


@pytest.mark.parametrize("filter_text", ["company", "777", "company AND state = ACTIVE", "company AND plan_id = few_3"])
@pytest.mark.parametrize("order_by", ["", "display_name desc"])
async def test_the_pages_of_a_search_are_those_of_the_list(full: Any, filter_text: str, order_by: str) -> None:
    """Two pages, the second of which begins at the end of the first: of a word that all have, and of a rare one."""
    asked = query(filter_text, order_by)
    planned = [each for each in await list_page(full, query("", order_by), (), TENANTS) if matches(each, filter_text)]
    first = await list_page(full, asked, (), 51)
    assert first == planned[:51]
    second = await list_page(full, asked, ORDERS.place(asked.order, first[-1]), 51)
    assert second == planned[51:102]


async def list_page(full: Any, asked: TenantQuery, after: SortPlace, size: int) -> list[Tenant]:
    return await list_repository.page(Connection(full), asked, after, size)


def matches(tenant: Tenant, filter_text: str) -> bool:
    word, *others = filter_text.split(" AND ")
    values = {"state = ACTIVE": tenant.state is TenantState.ACTIVE, "plan_id = few_3": tenant.plan_id == "few_3"}
    words = f"{tenant.slug} {tenant.display_name}".lower().replace("-", " ").split()
    return any(each.startswith(word) for each in words) and all(values[other] for other in others)


@pytest.mark.parametrize("filter_text", ["777", "company", "777 AND state = ACTIVE"])
async def test_words_of_which_postgresql_knows_nothing_are_found_by_their_index(full: Any, filter_text: str) -> None:
    """Where texts share few words there are no statistics to tell a rare word from a frequent one."""
    savepoint = full.transaction()
    await savepoint.start()
    await full.execute("RESET ROLE")
    await full.execute("SELECT pg_clear_attribute_stats('tenant', 'tenants_words_idx', 'search_words', false)")
    await full.execute("SET LOCAL ROLE tenant_directory")
    try:
        assert await indexes(full, filter_text) == {"tenants_words_idx"}
    finally:
        await savepoint.rollback()


async def test_deleted_tenants_are_found_by_an_index(full: Any) -> None:
    for filter_text in ("state = DELETED", "delete_time:*", "delete_time > 2020-01-01T00:00:00Z"):
        assert await indexes(full, filter_text, deleted=True) <= {"tenants_state_idx", "tenants_delete_time_idx"}


@pytest.mark.parametrize(
    "filter_text",
    ["email_domains:D14.example", "email_domains:d14.example OR external_id = crm-77", "email_domains:nowhere.example"],
)
async def test_the_holder_of_a_domain_is_found_by_two_indexes(full: Any, filter_text: str) -> None:
    read = await indexes(full, filter_text, "display_name desc")
    assert read - {"tenants_external_id_key"} == {"tenants_pkey", "email_domains_served_idx"}


async def test_conditions_that_are_joined_read_the_index_of_each(full: Any) -> None:
    either = "labels.team = team-7 OR login_hosts:app13.example OR external_id = crm-77"
    assert await indexes(full, either) == {"tenants_labels_idx", "tenants_login_hosts_idx", "tenants_external_id_key"}


@pytest.mark.parametrize("filter_text", ["", "state = ACTIVE", "plan_id = few_3", "labels.env = prod", "region = eu"])
@pytest.mark.parametrize(
    ("order_by", "index"),
    [
        ("", "tenants_pkey"),
        ("slug", "tenants_slug_idx"),
        ("display_name desc", "tenants_display_name_idx"),
        ("create_time desc", "tenants_create_time_idx"),
        ("update_time, slug desc", "tenants_update_time_idx"),
    ],
)  # fmt: skip
async def test_a_condition_that_many_match_reads_along_the_order(
    full: Any, filter_text: str, order_by: str, index: str
) -> None:
    as_good = THEN_BY_ID if index == "tenants_pkey" else set()
    (read,) = await indexes(full, filter_text, order_by)
    assert read in {index, *as_good}


@pytest.mark.parametrize("order_by", ["", "slug desc", "create_time, slug", "update_time desc, display_name"])
async def test_a_later_page_begins_at_its_place(full: Any, order_by: str) -> None:
    """The index is searched for the place, instead of read up to it."""
    asked = query("", order_by)
    (row,) = await full.fetch("SELECT * FROM tenant.tenants OFFSET 70000 LIMIT 1")
    place = ORDERS.place(asked.order, tenant_of(row))
    (statement,) = page_statements(asked, place)
    arguments = statement.arguments({**ORDERS.parameters(place), "size": 51})
    found = [node for node in nodes(await plan_of(full, statement.sql, arguments)) if "Index Name" in node]
    assert [node.get("Index Cond") is not None for node in found] == [True]


async def test_a_total_reads_as_a_page_does(full: Any) -> None:
    asked = query("labels.pilot = yes")
    counted, _ = total_statements(asked)
    plan = await plan_of(full, counted.sql, counted.arguments(asked.selection.parameters))
    assert {node["Index Name"] for node in nodes(plan) if "Index Name" in node} == {"tenants_labels_idx"}
    total = await list_repository.count(Connection(full), asked)
    assert (total.size, total.estimated) == (10, False)
    for text, size in (("", 99_900), ("labels.env = prod", 49_900), ("plan_id = few_3", 5_000)):
        total = await list_repository.count(Connection(full), query(text))
        assert total.estimated
        assert abs(total.size - size) < size / 5, text
