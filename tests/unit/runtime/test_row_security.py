from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, MetaData, String, Table, Text, Uuid

from tenantmesh.runtime.row_security import TableGrant, catalog, ddl, declaration_of, tenant_owned
from tenantmesh.runtime.row_security.findings import (
    app_role_problems,
    function_problems,
    grant_problems,
    key_problems,
    policy_problems,
    revision_problems,
    role_problems,
    table_problems,
)


def notes(*columns: Column[Any]) -> Table:
    return Table("notes", MetaData(schema="demo"), Column("tenant_id", Uuid, primary_key=True), *columns)


NOTES = tenant_owned(
    notes(Column("id", Uuid, primary_key=True), Column("title", Text)),
    "demo_app",
    ("SELECT", "INSERT"),
    cross_tenant=[TableGrant("demo_directory", ["SELECT"], ["id", "title"])],
    unique_across_tenants={"notes_title_key": "titles are public"},
)
PLANS = catalog(
    Table("plans", MetaData(schema="demo"), Column("id", Text, primary_key=True)),
    "products are for everybody",
    [TableGrant("demo_app", ["SELECT"])],
)
TABLES = {"notes": NOTES, "plans": PLANS}

RULE = "(tenant_id = ( SELECT (current_setting('app.tenant_id'::text))::uuid AS current_setting))"
HEALTHY_POLICIES = [
    {
        "table": table,
        "name": name,
        "permissive": permissive,
        "command": command,
        "roles": [role],
        "using": using,
        "with_check": with_check,
    }
    for table, name, permissive, command, role, using, with_check in [
        ("notes", "tenant_floor", "RESTRICTIVE", "ALL", "demo_app", RULE, RULE),
        ("notes", "tenant_rows", "PERMISSIVE", "ALL", "demo_app", RULE, RULE),
        ("notes", "cross_tenant_demo_directory_select", "PERMISSIVE", "SELECT", "demo_directory", "true", None),
        ("alembic_version", "version_read", "PERMISSIVE", "SELECT", "demo_app", "true", None),
    ]
]
HEALTHY_GRANTS = [
    {"table": table, "column": column, "role": role, "privilege": privilege}
    for table, column, role, privilege in [
        ("notes", None, "demo_app", "SELECT"),
        ("notes", None, "demo_app", "INSERT"),
        ("notes", "id", "demo_directory", "SELECT"),
        ("notes", "title", "demo_directory", "SELECT"),
        ("plans", None, "demo_app", "SELECT"),
        ("alembic_version", None, "demo_app", "SELECT"),
    ]
]
HEALTHY_TABLES = [
    {"name": name, "kind": "r", "enabled": name != "plans", "forced": name == "notes", "partition": False}
    for name in ("notes", "plans", "alembic_version")
]
HEALTHY_ROLE = dict.fromkeys(
    ["superuser", "bypasses", "administers", "changed", "member", "owns", "creates", "makes_temporary"], False
) | {"name": "demo_app"}


def test_ddl_enables_forces_and_restricts() -> None:
    statements = ddl(NOTES)
    assert "ALTER TABLE demo.notes ENABLE ROW LEVEL SECURITY" in statements
    assert "ALTER TABLE demo.notes FORCE ROW LEVEL SECURITY" in statements
    assert "GRANT SELECT, INSERT ON demo.notes TO demo_app" in statements
    assert "GRANT SELECT (id, title) ON demo.notes TO demo_directory" in statements
    floor = next(statement for statement in statements if "tenant_floor" in statement)
    assert "AS RESTRICTIVE FOR ALL TO demo_app USING (tenant_id = (SELECT current_setting('app.tenant_id')::uuid))" in (
        floor
    )
    assert "WITH CHECK" in floor


def test_who_sees_all_tenants_has_a_policy_for_each_granted_command_and_for_no_other() -> None:
    table = catalog(
        Table("keys", MetaData(schema="demo"), Column("id", Text, primary_key=True)),
        "the mesh's",
        [TableGrant("demo_directory", ["SELECT", "INSERT"]), TableGrant("demo_directory", ["UPDATE"], ["id"])],
        secret=True,
    )
    opened = "CREATE POLICY cross_tenant_demo_directory_{} ON demo.keys AS PERMISSIVE FOR {} TO demo_directory {}"
    assert [statement for statement in ddl(table) if "POLICY" in statement] == [
        opened.format("select", "SELECT", "USING (true)"),
        opened.format("insert", "INSERT", "WITH CHECK (true)"),
        opened.format("update", "UPDATE", "USING (true) WITH CHECK (true)"),
    ]


@pytest.mark.parametrize(
    "change",
    [{"command": "ALL", "with_check": "true"}, {"command": "UPDATE", "with_check": "true"}, {"roles": ["public"]}],
)
def test_a_policy_for_more_than_the_granted_command_is_a_problem(change: dict[str, object]) -> None:
    opened = "cross_tenant_demo_directory_select"
    found = [{**row, **change} if row["name"] == opened else row for row in HEALTHY_POLICIES]
    (problem,) = policy_problems(TABLES, found, "demo_app")
    assert f"{opened} is not as declared" in problem


def test_the_table_of_versions_is_under_row_level_security_too() -> None:
    found = [{**row, "enabled": row["name"] == "notes"} for row in HEALTHY_TABLES]
    (problem,) = table_problems(TABLES, found)
    assert "alembic_version: row-level security is not enabled" in problem
    (missing,) = policy_problems(TABLES, HEALTHY_POLICIES[:-1], "demo_app")
    assert "version_read is missing" in missing


def test_a_catalog_has_grants_only() -> None:
    assert ddl(PLANS) == ["GRANT SELECT ON demo.plans TO demo_app"]


@pytest.mark.parametrize("privilege", ["TRUNCATE", "REFERENCES", "TRIGGER", "ALL"])
def test_privileges_beyond_rows_cannot_be_declared(privilege: str) -> None:
    with pytest.raises(ValueError, match="look past row-level security"):
        TableGrant("demo_app", [privilege])


@pytest.mark.parametrize(
    "table",
    [
        Table("t", MetaData(), Column("id", Uuid, primary_key=True)),
        Table("t", MetaData(), Column("id", Uuid, primary_key=True), Column("tenant_id", Uuid, nullable=False)),
        Table("t", MetaData(), Column("tenant_id", String, primary_key=True)),
    ],
)
def test_a_table_whose_key_lacks_the_tenant_is_refused(table: Table) -> None:
    with pytest.raises(ValueError, match="needs tenant_id"):
        tenant_owned(table, "demo_app", ["SELECT"])


def test_the_app_role_never_sees_all_tenants() -> None:
    with pytest.raises(ValueError, match="must not see all tenants"):
        tenant_owned(notes(), "demo_app", ["SELECT"], cross_tenant=[TableGrant("demo_app", ["SELECT"])])


def test_an_undeclared_table_says_what_to_add() -> None:
    with pytest.raises(ValueError, match=r"tenant_owned\(\) or catalog\(\)"):
        declaration_of(Table("bare", MetaData()))


def test_a_database_as_declared_has_no_problems() -> None:
    assert [
        *role_problems(HEALTHY_ROLE, "tenant door"),
        *app_role_problems(TABLES, "demo_app"),
        *revision_problems("0001", "0001"),
        *table_problems(TABLES, HEALTHY_TABLES),
        *policy_problems(TABLES, HEALTHY_POLICIES, "demo_app"),
        *grant_problems(TABLES, HEALTHY_GRANTS),
        *key_problems(TABLES, []),
        *function_problems([]),
    ] == []


@pytest.mark.parametrize("flag", [key for key in HEALTHY_ROLE if key != "name"])
def test_every_right_to_look_past_is_a_problem(flag: str) -> None:
    (problem,) = role_problems({**HEALTHY_ROLE, flag: True}, "tenant door")
    assert "demo_app" in problem
    assert "roles.sql" in problem


def test_another_role_than_the_policies_name_is_a_problem() -> None:
    (problem,) = app_role_problems(TABLES, "other_app")
    assert "other_app" in problem


def test_an_old_schema_is_a_problem() -> None:
    (problem,) = revision_problems("0001", "0002")
    assert "tenantmesh migrate" in problem


@pytest.mark.parametrize("flag", ["enabled", "forced"])
def test_row_level_security_that_is_off_is_a_problem(flag: str) -> None:
    found = [{**row, flag: False} if row["name"] == "notes" else row for row in HEALTHY_TABLES]
    (problem,) = table_problems(TABLES, found)
    assert "not enabled and forced" in problem


def test_missing_tables_views_and_strangers_are_problems() -> None:
    view = {"name": "everything", "kind": "v", "enabled": False, "forced": False, "partition": False}
    stranger = {**view, "name": "stranger", "kind": "r"}
    problems = list(table_problems(TABLES, [*HEALTHY_TABLES[1:], view, stranger]))
    assert [problem.split(":")[0] for problem in problems] == ["notes", "everything", "stranger"]


@pytest.mark.parametrize(
    "change",
    [
        {"using": "true"},
        {"with_check": None},
        {"permissive": "PERMISSIVE"},
        {"command": "SELECT"},
        {"roles": ["demo_app", "demo_directory"]},
        {"using": RULE.replace("::text)", "::text, true)")},
    ],
)
def test_a_changed_policy_is_a_problem(change: dict[str, object]) -> None:
    found = [{**row, **change} if row["name"] == "tenant_floor" else row for row in HEALTHY_POLICIES]
    (problem,) = policy_problems(TABLES, found, "demo_app")
    assert "tenant_floor is not as declared" in problem


def test_missing_and_extra_policies_are_problems() -> None:
    (missing,) = policy_problems(TABLES, HEALTHY_POLICIES[1:], "demo_app")
    assert "tenant_floor is missing" in missing
    (extra,) = policy_problems(TABLES, [*HEALTHY_POLICIES, {**HEALTHY_POLICIES[0], "name": "sneaky"}], "demo_app")
    assert "sneaky is not declared" in extra


def test_missing_and_extra_grants_are_problems() -> None:
    (missing,) = grant_problems(TABLES, HEALTHY_GRANTS[1:])
    assert "demo_app lacks SELECT" in missing
    truncate = {"table": "notes", "column": None, "role": "demo_app", "privilege": "TRUNCATE"}
    (extra,) = grant_problems(TABLES, [*HEALTHY_GRANTS, truncate])
    assert "demo_app may TRUNCATE" in extra


def test_keys_without_the_tenant_are_problems_unless_declared() -> None:
    def key(name: str, kind: str, *columns: str) -> dict[str, object]:
        return {"table": "notes", "name": name, "kind": kind, "columns": list(columns), "target": "notes"}

    fine = [key("notes_pkey", "unique", "tenant_id", "id"), key("notes_title_key", "unique", "title")]
    assert list(key_problems(TABLES, fine)) == []
    problems = list(key_problems(TABLES, [key("oracle", "unique", "title"), key("pointer", "foreign", "id")]))
    assert len(problems) == 2


def test_functions_with_more_rights_are_problems() -> None:
    problems = list(
        function_problems(
            [
                {"name": "peek", "definer": True, "leakproof": False, "fixed_path": True},
                {"name": "leak", "definer": False, "leakproof": True, "fixed_path": True},
                {"name": "look", "definer": False, "leakproof": False, "fixed_path": False},
            ]
        )
    )
    named = ("SECURITY DEFINER", "LEAKPROOF", "search_path")
    assert [name in problem for name, problem in zip(named, problems, strict=True)] == [True, True, True]
