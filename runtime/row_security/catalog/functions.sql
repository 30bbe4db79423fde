-- Functions that run with their owner's rights, or that promise the planner not to leak.
SELECT f.proname::text AS name, f.prosecdef AS definer, f.proleakproof AS leakproof
FROM pg_catalog.pg_proc AS f
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
WHERE n.nspname = :schema AND (f.prosecdef OR f.proleakproof)
ORDER BY f.proname
