-- Takes `cost` from one rate, or nothing (generic cell rate algorithm, ITU-T I.371).
-- KEYS[1]  the theoretical arrival time, microseconds of this server's clock, as text
-- ARGV     interval in microseconds per call, burst, cost
-- Returns  {allowed 0|1, remaining calls, microseconds to wait}
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local full_at = arrival + cost * interval
local room = now + burst * interval
if full_at > room + 0.5 then
  return {0, math.max(0, math.floor((room - arrival) / interval + 0.000001)), math.ceil(full_at - room)}
end
-- %.0f: Lua would print 16 digits in scientific notation and lose the last ones.
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
return {1, math.max(0, math.floor((room - full_at) / interval + 0.000001)), 0}
