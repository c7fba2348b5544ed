-- Say what is about to be done; from here on a crash leaves the act in doubt. KEYS[1] is the act's key.
-- ARGV: P, '', act, fence, lease (ms), digest of the request. Returns 1, or 0 for a fence that is not the newest, or
-- a lock that lapsed and is another's by now.
local now = clock()
local state, fence, lock = unpack(redis.call('HMGET', KEYS[1], 'state', 'fence', 'lock'))
if fence ~= ARGV[4] or (state ~= 'claimed' and state ~= 'intended') then return 0 end
if not keep_lock(lock, ARGV[3], fence, ARGV[5]) then return 0 end
redis.call('HSET', KEYS[1], 'state', 'intended', 'digest', ARGV[6], 'since', now, 'until', now + tonumber(ARGV[5]))
return 1
