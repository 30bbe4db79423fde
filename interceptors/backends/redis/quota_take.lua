-- Takes units of all meters or none (`QuotaPool.take`).
-- KEYS     the meters' pools, all of one tenant
-- ARGV     for each: want, need, the highest limit that the pool may have been filled under
-- Returns  this clock as text, and for each meter {granted, pooled, left, limit, period, microseconds to its end} or {}
local found, grants, enough = {}, {}, true
for index, key in ipairs(KEYS) do
  local want, need, limit = tonumber(ARGV[index * 3 - 2]), tonumber(ARGV[index * 3 - 1]), tonumber(ARGV[index * 3])
  local it = pool(key)
  if it and it.limit <= limit and it.units >= need then
    found[index] = it
    grants[index] = math.min(want, it.units, math.max(need, math.floor((it.units + it.left) / 8)))
  else
    enough = false
  end
end
local answer = {text(now)}
for index, key in ipairs(KEYS) do
  local it = found[index]
  if it then
    local granted = enough and grants[index] or 0
    if granted > 0 then
      redis.call('HSET', key, 'units', text(it.units - granted), 'touched', text(now))
    end
    answer[index + 1] = {granted, text(it.units - granted), text(it.left), text(it.limit), it.period, text(it.ends - now)}
  else
    answer[index + 1] = {}
  end
end
return answer
