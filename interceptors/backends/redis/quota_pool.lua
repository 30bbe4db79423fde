-- What the scripts of the quota pool begin with. A pool is a hash: run, period, end, units, left, limit, touched.
-- Times are microseconds: `end` and `touched` of this server's clock, `period` of the ledger's.
-- `run` is the server process that filled it. A restarted or promoted server may have forgotten what was taken last, so
-- it counts the pools of the one before as empty: their units are lost, but none is given twice.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')

local function pool(key)
  local stored = redis.call('HMGET', key, 'run', 'period', 'end', 'units', 'left', 'limit', 'touched')
  if not stored[1] then return nil end
  if stored[1] ~= run or tonumber(stored[3]) <= now then
    redis.call('DEL', key)
    return nil
  end
  return {period = stored[2], ends = tonumber(stored[3]), units = tonumber(stored[4]), left = tonumber(stored[5]),
    limit = tonumber(stored[6]), touched = tonumber(stored[7])}
end

local function text(number)
  -- Lua would print 16 digits in scientific notation and lose the last ones.
  return string.format('%.0f', number)
end
