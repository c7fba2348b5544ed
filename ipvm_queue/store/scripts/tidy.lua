-- Forget runs that have lapsed, and what owners were computing that are gone: of a part of those that are remembered.
-- ARGV: P, '', the place of the first run to look at (the oldest is 0), how many, the cursor to look at flights from.
-- Returns {the place to go on at, the cursor}: 0 after the last.
local key, first, most = P .. 'runs', tonumber(ARGV[3]), tonumber(ARGV[4])
local some, kept = redis.call('ZRANGE', key, first, first + most - 1), 0
for _, id in ipairs(some) do
  if redis.call('HEXISTS', P .. 'run:' .. id, 'state') == 1 then
    kept = kept + 1
  else
    redis.call('ZREM', key, id)
  end
end
local cursor, flights = unpack(redis.call('HSCAN', P .. 'flights', ARGV[5], 'COUNT', most))
for i = 1, #flights, 2 do
  if read_flight(flights[i + 1]) <= clock() then redis.call('HDEL', P .. 'flights', flights[i]) end
end
return {#some < most and 0 or first + kept, cursor}
