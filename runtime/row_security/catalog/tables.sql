-- Everything in the schema that holds or shows rows.
SELECT c.relname AS name,
       c.relkind::text AS kind,
       c.relrowsecurity AS enabled,
       c.relforcerowsecurity AS forced,
       c.relispartition AS partition,
       coalesce('security_invoker=true' = ANY (c.reloptions), false) AS security_invoker
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY c.relname
