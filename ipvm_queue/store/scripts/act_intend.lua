-- Say what is about to be done; from here on a crash leaves the act in doubt. KEYS[1] is the act's key.
-- ARGV: P, '', act, fence, lease (ms), digest of the request. Returns 1, or 0 for a fence that is not the newest.
local now = clock()
local state, fence = unpack(redis.call('HMGET', KEYS[1], 'state', 'fence'))
if fence ~= ARGV[4] or (state ~= 'claimed' and state ~= 'intended') then return 0 end
redis.call('HSET', KEYS[1], 'state', 'intended', 'digest', ARGV[6], 'since', now, 'until', now + tonumber(ARGV[5]))
return 1
