-- Returns units to the pool of their period (`QuotaPool.give_back`).
-- KEYS[1]  the pool
-- ARGV     period, amount, limit
-- Returns  1, or 0 when there is no such pool
local it = pool(KEYS[1])
if not it or it.period ~= ARGV[1] or it.limit ~= tonumber(ARGV[3]) then return 0 end
redis.call('HINCRBY', KEYS[1], 'units', ARGV[2])
return 1
