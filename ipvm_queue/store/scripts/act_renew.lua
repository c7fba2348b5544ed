-- The holder lives. KEYS[1] is the act's key. ARGV: P, '', act, fence, lease (ms). Returns 1, or 0 where it is not its
-- holder's any more.
local state, fence, lock = unpack(redis.call('HMGET', KEYS[1], 'state', 'fence', 'lock'))
if fence ~= ARGV[4] or (state ~= 'claimed' and state ~= 'intended') then return 0 end
redis.call('HSET', KEYS[1], 'until', clock() + tonumber(ARGV[5]))
if lock ~= '' and redis.call('GET', P .. 'lock:' .. lock) == ARGV[3] .. '|' .. fence then
  redis.call('PEXPIRE', P .. 'lock:' .. lock, ARGV[5])
end
return 1
