-- Open a run: from here on workers see it. What does not come along here stands staged under new:<part>.
-- ARGV: P, id, count, the fields of the run's hash and their values,
--   count (-1 where they are staged), for each part of the run: its suffix, the command that adds to it, count, what is added.
-- Returns 1, or 0 where the run is open already.
local state = redis.call('HGET', RUN, 'state')
if state and state ~= 'withdrawn' then return 0 end
local at = 3 + tonumber(ARGV[3])
redis.call('HSET', RUN, 'state', 'running', unpack(ARGV, 4, at))
redis.call('HDEL', RUN, 'status')
at = at + 1
local parts = tonumber(ARGV[at])
for _, part in ipairs(parts < 0 and {'blocks', 'settled', 'arrived', 'ready:0', 'ready:1', 'handed'} or {}) do
  if redis.call('EXISTS', RUN .. ':new:' .. part) == 1 then
    redis.call('RENAME', RUN .. ':new:' .. part, RUN .. ':' .. part)
    redis.call('PERSIST', RUN .. ':' .. part)
  end
end
if state then  -- it was over once, and all of it was about to lapse
  for _, suffix in ipairs(SUFFIXES) do redis.call('PERSIST', RUN .. suffix) end
end
local add = {
  SADD = function(key, ...) redis.call('SADD', key, ...) end,
  HSET = function(key, ...) redis.call('HSET', key, ...) end,
  ZADD = function(key, ...) redis.call('ZADD', key, ...) end,
}
for _ = 1, parts do
  local part, last = ARGV[at + 1], at + 3 + tonumber(ARGV[at + 3])
  if state and part ~= 'blocks' then redis.call('DEL', RUN .. ':' .. part) end  -- as the staged one takes its place
  add[ARGV[at + 2]](RUN .. ':' .. part, unpack(ARGV, at + 4, last))
  at = last
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
