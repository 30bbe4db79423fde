-- Adds units of the ledger's to a pool (`QuotaPool.add`).
-- KEYS[1]  the pool
-- ARGV     period, end, amount, left, limit
-- Returns  1, or 0 when nothing was done
local period, ends, amount = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if ends <= now then return 0 end
local it = pool(KEYS[1])
if it and tonumber(it.period) > tonumber(period) then return 0 end
if it and it.period == period then
  if it.limit ~= tonumber(ARGV[5]) then return 0 end
  amount = amount + it.units
  ends = math.min(ends, it.ends)
end
redis.call('HSET', KEYS[1], 'run', run, 'period', period, 'end', text(ends), 'units', text(amount), 'left', ARGV[4],
  'limit', ARGV[5], 'touched', text(now))
redis.call('PEXPIRE', KEYS[1], math.max(1, math.ceil((ends - now) / 1000)))
return 1
