-- The holder lives. KEYS[1] is the act's key. ARGV: P, '', act, fence, lease (ms). Returns 1, or 0 where it, or
-- what it had locked, is another's by now.
local state, fence, lock = unpack(redis.call('HMGET', KEYS[1], 'state', 'fence', 'lock'))
if fence ~= ARGV[4] or (state ~= 'claimed' and state ~= 'intended') then return 0 end
if not keep_lock(lock, ARGV[3], fence, ARGV[5]) then return 0 end
redis.call('HSET', KEYS[1], 'until', clock() + tonumber(ARGV[5]))
return 1
