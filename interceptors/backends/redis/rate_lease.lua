-- Serves takers of one rate in order, and leases units to be used within the next moments (`limits.RateStore`).
-- KEYS[1]  "arrival|end|leased|end|leased": the theoretical arrival time, and what is leased until when, in two lots;
--          times in microseconds of this server's clock
-- ARGV     interval in microseconds per unit, burst, slot in microseconds, most leased at a time, units to lease, and for
--          each row of takers its cost and count
-- Returns  {microseconds until all has grown back, leased, microseconds the lease is valid, served of each row ...}
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, burst, slot = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local most, want = tonumber(ARGV[4]), tonumber(ARGV[5])

local arrival, first_end, first, second_end, second = now, 0, 0, 0, 0
local stored = redis.call('GET', KEYS[1])
if stored then
  local a, e1, n1, e2, n2 = string.match(stored, '^(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$')
  arrival, first_end, first = tonumber(a), tonumber(e1), tonumber(n1)
  second_end, second = tonumber(e2), tonumber(n2)
else
  -- A bucket that is full, or one that the server has forgotten, being restarted or in another's place. So the whole
  -- burst counts as taken when the server started: by the end of the second that INFO's whole seconds lead back to. Where
  -- this clock was set back to before the start there is no such second, and the server is no new one.
  local up = string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)')
  if up then arrival = (clock[1] - up + 1) * 1000000 + burst * interval end
end
local room = now + burst * interval
local expires = (math.floor(now / slot) + 2) * slot
-- Nothing owes more than the whole burst, or is leased for longer than two slots: neither after this clock was set back,
-- nor after the burst became smaller.
arrival = math.min(math.max(arrival, now), room)
first_end, second_end = math.min(first_end, expires), math.min(second_end, expires)
if first_end <= now then first_end, first, second_end, second = second_end, second, 0, 0 end
if first_end <= now then first_end, first = 0, 0 end

local answer, all_served = {0, 0, 0}, true
for row = 6, #ARGV, 2 do
  local cost, count = tonumber(ARGV[row]), tonumber(ARGV[row + 1])
  local fit = math.max(0, math.min(count, math.floor((room - arrival) / interval / cost + 0.000001)))
  arrival = arrival + fit * cost * interval
  answer[#answer + 1] = fit
  if fit < count then all_served = false end
end

-- What is leased counts as taken until it expires: nothing of it may have grown back by then.
if want > 0 and all_served then
  local out = first + second
  local fits = math.floor((room - arrival) / interval + 0.000001)
  local kept = math.floor((room - now - 2 * slot) / interval + 0.000001) - out
  local leased = math.min(want, most - out, fits, kept)
  if leased > 0 then
    arrival = math.max(arrival + leased * interval, now + (out + leased) * interval + 2 * slot)
    if first == 0 or first_end == expires then
      first_end, first = math.max(first_end, expires), first + leased
    else
      second_end, second = math.max(second_end, expires), second + leased
    end
    answer[2] = leased
    answer[3] = math.floor(expires - now)
  end
end

answer[1] = math.ceil(arrival - now)
local kept_until = math.max(arrival, first_end, second_end)
if kept_until > now then
  -- %.0f: Lua would print 16 digits in scientific notation and lose the last ones.
  redis.call('SET', KEYS[1], string.format('%.0f|%.0f|%d|%.0f|%d', arrival, first_end, first, second_end, second),
    'PX', math.ceil((kept_until - now) / 1000) + 1)
end
return answer
