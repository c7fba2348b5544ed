-- Repair a run after deaths: lapsed leases and waits become ready again, lost messages are published again.
-- ARGV: P, id, points for a lapsed lease, how long (ms) a run with ready nodes may stand still.
-- Returns how many nodes came back.
local state = redis.call('HGET', RUN, 'state')
if state ~= 'running' then
  redis.call('SREM', P .. 'live', ID)
  return 0
end
local now, patience = clock(), tonumber(ARGV[4])
local lapsed = redis.call('ZRANGEBYSCORE', RUN .. ':leases', '-inf', now, 'LIMIT', 0, 1000)
for _, node in ipairs(lapsed) do
  local held = redis.call('HGET', RUN .. ':claims', node)
  if held then redis.call('HSET', RUN .. ':lapsed', node .. '|' .. string.sub(held, 3), 1) end
end
put_back(RUN, ID, lapsed, tonumber(ARGV[3]))
local woken = redis.call('ZRANGEBYSCORE', RUN .. ':waiting', '-inf', now, 'LIMIT', 0, 1000)
if #woken > 0 then redis.call('ZREM', RUN .. ':waiting', unpack(woken)) end
put_back(RUN, ID, woken, 0)
for _, q in ipairs({'0', '1'}) do
  local list, moved, again = unpack(redis.call('HMGET', RUN, 'queue:' .. q, 'moved:' .. q, 'again:' .. q))
  if list and redis.call('ZCARD', RUN .. ':ready:' .. q) > 0 then
    moved, again = tonumber(moved or '0'), tonumber(again or '0')
    local still = now - math.max(moved, again)
    -- In a list that is not empty its messages may only wait: each time it is given as long again as it has stood still.
    if redis.call('LLEN', list) == 0 and still > patience or still > math.max(10 * patience, again - moved) then
      redis.call('HSET', RUN, 'tickets:' .. q, 0)
      top_up(RUN, ID, q)
      redis.call('HSET', RUN, 'moved:' .. q, moved, 'again:' .. q, now)
    else
      top_up(RUN, ID, q)
    end
  end
end
-- Another run of the same plan has given its blocks a lifetime when it ended.
if redis.call('PTTL', block_key(redis.call('HGET', RUN, 'plan'))) >= 0 then
  for _, cid in ipairs(redis.call('SMEMBERS', RUN .. ':blocks')) do redis.call('PERSIST', P .. 'block:' .. cid) end
end
return #lapsed + #woken
