-- Functions that run with their owner's rights, that promise the planner not to leak, or whose search_path is not fixed.
SELECT f.proname::text AS name,
       f.prosecdef AS definer,
       f.proleakproof AS leakproof,
       coalesce('search_path=pg_catalog, pg_temp' = ANY (f.proconfig), false) AS fixed_path
FROM pg_catalog.pg_proc AS f
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
WHERE n.nspname = :schema
  AND (f.prosecdef OR f.proleakproof OR coalesce('search_path=pg_catalog, pg_temp' <> ALL (f.proconfig), true))
ORDER BY f.proname
