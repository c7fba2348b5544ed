-- Repair a run after deaths: lapsed leases and waits become ready again, lost messages are published again.
-- ARGV: P, id, points for a lapsed lease, how long (ms) a run with ready nodes may stand still.
-- Returns how many nodes came back.
local state = redis.call('HGET', RUN, 'state')
if state ~= 'running' then
  redis.call('SREM', P .. 'live', ID)
  return 0
end
local now = clock()
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
  local list = redis.call('HGET', RUN, 'queue:' .. q)
  if list and redis.call('ZCARD', RUN .. ':ready:' .. q) > 0 then
    local begun = tonumber(redis.call('HGET', RUN, 'begun') or '0')
    if redis.call('LLEN', list) == 0 and now - begun > tonumber(ARGV[4]) or now - begun > 10 * tonumber(ARGV[4]) then
      redis.call('HSET', RUN, 'tickets:' .. q, 0, 'begun', now)
    end
    top_up(RUN, ID, q)
  end
end
return #lapsed + #woken
