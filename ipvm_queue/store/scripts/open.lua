-- Open a run whose nodes stand staged under new:<part>: from here on workers see it.
-- ARGV: P, id, then the fields of the run's hash. Returns 1, or 0 where the run is open already.
local state = redis.call('HGET', RUN, 'state')
if state and state ~= 'withdrawn' then return 0 end
redis.call('HSET', RUN, 'state', 'running', unpack(ARGV, 3))
redis.call('HDEL', RUN, 'status')
for _, part in ipairs({'settled', 'arrived', 'ready:0', 'ready:1', 'handed'}) do
  if redis.call('EXISTS', RUN .. ':new:' .. part) == 1 then
    redis.call('RENAME', RUN .. ':new:' .. part, RUN .. ':' .. part)
    redis.call('PERSIST', RUN .. ':' .. part)
  end
end
if state then  -- it was over once, and all of it was about to lapse
  for _, suffix in ipairs(SUFFIXES) do redis.call('PERSIST', RUN .. suffix) end
end
redis.call('SADD', P .. 'live', ID)
redis.call('ZADD', P .. 'runs', clock(), ID)
if tonumber(redis.call('HGET', RUN, 'left')) == 0 then
  conclude()
else
  top_up(RUN, ID, '0')
  if redis.call('HEXISTS', RUN, 'queue:1') == 1 then top_up(RUN, ID, '1') end
end
return 1
