-- Forget runs that have lapsed, of a part of those that are remembered.
-- ARGV: P, '', the place of the first to look at (the oldest is 0), how many.
-- Returns the place to go on at: 0 after the last.
local key, first, most = P .. 'runs', tonumber(ARGV[3]), tonumber(ARGV[4])
local some, kept = redis.call('ZRANGE', key, first, first + most - 1), 0
for _, id in ipairs(some) do
  if redis.call('HEXISTS', P .. 'run:' .. id, 'state') == 1 then
    kept = kept + 1
  else
    redis.call('ZREM', key, id)
  end
end
return #some < most and 0 or first + kept
