-- Unique indexes and foreign keys: both look past row-level security.
SELECT c.relname::text AS "table",
       k.relname::text AS name,
       'unique' AS kind,
       ARRAY(
           SELECT t.attname::text FROM pg_catalog.pg_attribute AS t
           WHERE t.attrelid = c.oid AND t.attnum = ANY (i.indkey::int2[])
       ) AS columns,
       NULL::text AS target
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
JOIN pg_catalog.pg_class AS k ON k.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND i.indisunique
UNION ALL
SELECT c.relname::text,
       f.conname::text,
       'foreign',
       ARRAY(
           SELECT t.attname::text FROM pg_catalog.pg_attribute AS t
           WHERE t.attrelid = f.conrelid AND t.attnum = ANY (f.conkey)
       ),
       r.relname::text
FROM pg_catalog.pg_constraint AS f
JOIN pg_catalog.pg_class AS c ON c.oid = f.conrelid
JOIN pg_catalog.pg_class AS r ON r.oid = f.confrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND f.contype = 'f'
ORDER BY 1, 2
