SELECT p.tablename::text AS "table",
       p.policyname::text AS name,
       p.permissive::text AS permissive,
       p.cmd::text AS command,
       p.roles::text[] AS roles,
       p.qual::text AS "using",
       p.with_check::text AS with_check
FROM pg_catalog.pg_policies AS p
WHERE p.schemaname = :schema
ORDER BY p.tablename, p.policyname
