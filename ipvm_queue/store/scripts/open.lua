-- Open a run: from here on workers see it. What does not come along here stands staged under new:<part>.
-- ARGV: P, id, count, the keys, bytes and lifetimes (ms, '' for ever) of blocks,
--   count, the fields of the run's hash and their values,
--   count (-1 where they are staged), for each part of the run: its suffix, the command that adds to it, count, what is added.
-- Returns 1, or 0 where the run is open already.
local at = 4
for _ = 1, tonumber(ARGV[3]) do
  if ARGV[at + 2] == '' then
    redis.call('SET', ARGV[at], ARGV[at + 1])
  else
    redis.call('SET', ARGV[at], ARGV[at + 1], 'PX', ARGV[at + 2])
  end
  at = at + 3
end
local state = redis.call('HGET', RUN, 'state')
if state and state ~= 'withdrawn' then return 0 end
local last = at + tonumber(ARGV[at])
redis.call('HSET', RUN, 'state', 'running', unpack(ARGV, at + 1, last))
redis.call('HDEL', RUN, 'status')
at = last + 1
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
  local part = ARGV[at + 1]
  last = at + 3 + tonumber(ARGV[at + 3])
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
