-- Takes `cost` from one rate, or nothing (generic cell rate algorithm, ITU-T I.371).
-- KEYS[1]  the theoretical arrival time, microseconds of this server's clock, as text
-- ARGV     interval in microseconds per call, burst, cost
-- Returns  {allowed 0|1, remaining calls, microseconds to wait, microseconds until the whole burst has grown back}
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local room = now + burst * interval
-- Nothing owes more than the whole burst: neither after this clock was set back, nor after the burst became smaller.
local stored = tonumber(redis.call('GET', KEYS[1]) or now)
local arrival = math.min(math.max(stored, now), room)
local full_at = arrival + cost * interval

local function keep(moment)
  -- %.0f: Lua would print 16 digits in scientific notation and lose the last ones.
  redis.call('SET', KEYS[1], string.format('%.0f', moment), 'PX', math.ceil((moment - now) / 1000) + 1)
end
if full_at > room + 0.5 then
  if stored > room then keep(arrival) end
  local remaining = math.max(0, math.floor((room - arrival) / interval + 0.000001))
  return {0, remaining, math.ceil(full_at - room), math.ceil(arrival - now)}
end
keep(full_at)
return {1, math.max(0, math.floor((room - full_at) / interval + 0.000001)), 0, math.ceil(full_at - now)}
