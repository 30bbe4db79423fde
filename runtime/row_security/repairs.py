"""Statements for migrations that bring a whole schema to the form that `verify` demands, whatever came before them."""

from __future__ import annotations

from tenantmesh.runtime.row_security.declaration import ROWS
from tenantmesh.runtime.row_security.purging import Purger, purge_policies

__all__ = ["fix_search_paths", "renew_open_policies", "renew_purge_policies"]

_RENEW = """
DO $renew$
DECLARE
    found record;
    policy text;
    command text;
BEGIN
    FOR found IN
        SELECT p.polrelid AS relation, p.polroles[1] AS role, pg_catalog.array_agg(p.polname::text) AS policies
        FROM pg_catalog.pg_policy AS p
        JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
        WHERE c.relnamespace = '{schema}'::regnamespace AND pg_catalog.starts_with(p.polname::text, 'cross_tenant_')
        GROUP BY p.polrelid, p.polroles[1]
    LOOP
        FOREACH policy IN ARRAY found.policies LOOP
            EXECUTE pg_catalog.format('DROP POLICY %I ON %s', policy, found.relation::regclass);
        END LOOP;
        FOR command IN
            SELECT DISTINCT a.privilege_type
            FROM (
                SELECT c.relacl AS acl FROM pg_catalog.pg_class AS c WHERE c.oid = found.relation
                UNION ALL
                SELECT t.attacl FROM pg_catalog.pg_attribute AS t
                WHERE t.attrelid = found.relation AND NOT t.attisdropped
            ) AS granted
            CROSS JOIN LATERAL pg_catalog.aclexplode(granted.acl) AS a
            WHERE a.grantee = found.role AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
        LOOP
            EXECUTE pg_catalog.format(
                'CREATE POLICY %I ON %s AS PERMISSIVE FOR %s TO %s %s',
                'cross_tenant_' || found.role::regrole || '_' || pg_catalog.lower(command),
                found.relation::regclass, command, found.role::regrole,
                CASE command
                    WHEN 'INSERT' THEN 'WITH CHECK (true)'
                    WHEN 'UPDATE' THEN 'USING (true) WITH CHECK (true)'
                    ELSE 'USING (true)'
                END);
        END LOOP;
    END LOOP;
END
$renew$;
"""

_FIX = """
DO $fix$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT f.oid::regprocedure AS function FROM pg_catalog.pg_proc AS f
        WHERE f.pronamespace = '{schema}'::regnamespace
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = pg_catalog, pg_temp', found.function);
    END LOOP;
END
$fix$;
"""


def renew_open_policies(schema: str) -> str:
    """Return the statement that makes the policies for rows of all tenants anew: one for each role and each command
    that the role is granted now. A migration that grants a role one more command runs it afterwards."""
    return _RENEW.replace("{schema}", schema)


_PURGE = """
DO $purge$
DECLARE
    found text;
BEGIN
    FOR found IN
        SELECT c.relname::text
        FROM pg_catalog.pg_policy AS p
        JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
        WHERE c.relnamespace = '{schema}'::regnamespace AND p.polname = '{rows}' AND c.relname <> ALL ('{{own}}')
    LOOP
        {statements}
    END LOOP;
END
$purge$;
"""


def renew_purge_policies(schema: str, purger: Purger) -> str:
    """Return the statements that let the role purge every tenant-owned table that there is now. A migration that adds
    such a table runs them afterwards."""
    place = "TABLE_NAME"
    formatted = [statement.replace(f"{schema}.{place}", "%s") for statement in purge_policies(schema, purger, place)]
    statements = "\n        ".join(
        f"EXECUTE pg_catalog.format($s${statement}$s$, '{schema}.' || pg_catalog.quote_ident(found));"
        for statement in formatted
    )
    common = _PURGE.replace("{schema}", schema).replace("{rows}", ROWS).replace("{statements}", statements)
    of_their_own = [each for table in purger.own for each in purge_policies(schema, purger, table)]
    return "".join([common.replace("{own}", ",".join(purger.own)), *(f"{each};\n" for each in of_their_own)])


def fix_search_paths(schema: str) -> str:
    """Return the statement that fixes the search_path of every function of the schema, a library's too. Functions name
    the schemas of their tables, so a caller's search_path decides nothing."""
    return _FIX.replace("{schema}", schema)
