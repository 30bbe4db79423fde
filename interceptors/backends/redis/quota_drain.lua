-- Empties a pool that nobody takes from (`QuotaPool.drain`).
-- KEYS[1]  the pool
-- ARGV     microseconds for which nobody must have taken from it
-- Returns  {units, period}, or {} when there was nothing or somebody did
local it = pool(KEYS[1])
if not it or now - it.touched < tonumber(ARGV[1]) then return {} end
redis.call('DEL', KEYS[1])
return {text(it.units), it.period}
