-- Open a run: from here on workers see it. What does not come along here stands staged under new:<part>.
-- ARGV: P, id, the request that it comes by ('' for none), and of a request: what `remember` takes, the gate's list of
--   what it has taken, for how long the answer stays (s), the answer ('' where it is not given here), count, keys of its
--   Tasks in the memo table,
--   count, the keys, bytes and lifetimes (ms, '' for ever) of blocks,
--   count, the fields of the run's hash and their values,
--   count (-1 where they are staged), for each part of the run: its suffix, the command that adds to it, count, what is added.
-- Returns {'opened', 1 (0: it is open already), 1 where the request is answered}, or where nothing is opened
--   {'repeated', what `remember` says}
--   {'known', the memo table's entries of all Tasks}, where one of them may be taken instead of running it
local at, request, done = 4, ARGV[3], function(opened) return {'opened', opened, 0} end
if request ~= '' then
  local repeated = remember(3)
  if repeated ~= 0 then return {'repeated', repeated} end
  at = 5 + 2 * tonumber(ARGV[4])
  local taken, seconds, text, count = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 4 + count
  local entries = count > 0 and redis.call('MGET', unpack(ARGV, at - count, at - 1)) or {}
  for _, entry in ipairs(entries) do
    if entry and string.sub(entry, 1, 1) == 'c' then return {'known', entries} end
  end
  if text ~= '' then
    done = function(opened)
      answer(taken, request, text, seconds)
      return {'opened', opened, 1}
    end
  end
end
local blocks = tonumber(ARGV[at])
at = at + 1
for _ = 1, blocks do
  if ARGV[at + 2] == '' then
    redis.call('SET', ARGV[at], ARGV[at + 1])
  else
    redis.call('SET', ARGV[at], ARGV[at + 1], 'PX', ARGV[at + 2])
  end
  at = at + 3
end
local state = redis.call('HGET', RUN, 'state')
if state and state ~= 'withdrawn' then return done(0) end
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
return done(1)
