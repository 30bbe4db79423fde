-- The role that this connection logged in as, and every right by which it could look past row-level security.
SELECT r.rolname::text AS name,
       r.rolsuper AS superuser,
       r.rolbypassrls AS bypasses,
       r.rolcreaterole OR r.rolcreatedb OR r.rolreplication AS administers,
       r.rolname <> session_user AS changed,
       EXISTS (SELECT FROM pg_catalog.pg_auth_members AS m WHERE m.member = r.oid) AS member,
       EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relowner = r.oid)
           OR EXISTS (SELECT FROM pg_catalog.pg_namespace AS n WHERE n.nspowner = r.oid)
           OR EXISTS (SELECT FROM pg_catalog.pg_database AS d WHERE d.datdba = r.oid AND d.datname = current_database())
           AS owns,
       has_schema_privilege(r.oid, n.oid, 'CREATE') AS creates,
       has_database_privilege(r.oid, current_database(), 'TEMP') AS makes_temporary
FROM pg_catalog.pg_roles AS r
CROSS JOIN pg_catalog.pg_namespace AS n
WHERE r.rolname = current_user AND n.nspname = :schema
