-- KEYS[1]: the account of all pools of this store. ARGV[1]: the one to use where there is none yet.
-- Returns the account.

redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
