-- The owner lives: keep its leases, and its claims on the pure Tasks that it computes.
-- ARGV: P, id, owner, q, lease (ms), count, nodes, count, Tasks. Returns how many leases it still holds.
local mine, lease, held = ARGV[4] .. '|' .. ARGV[3], tonumber(ARGV[5]), 0
local nodes = tonumber(ARGV[6])
for i = 7, 6 + nodes do
  if redis.call('HGET', RUN .. ':claims', ARGV[i]) == mine then
    redis.call('ZADD', RUN .. ':leases', 'XX', clock() + lease, ARGV[i])
    held = held + 1
  end
end
for i = 8 + nodes, 7 + nodes + tonumber(ARGV[7 + nodes]) do
  local _, who = read_flight(redis.call('HGET', P .. 'flights', ARGV[i]))
  if who == ARGV[3] then redis.call('HSET', P .. 'flights', ARGV[i], clock() + lease .. '|' .. ARGV[3]) end
end
return held
