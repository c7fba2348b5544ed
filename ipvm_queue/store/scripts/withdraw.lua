-- Take a run from the workers: nothing of it settles until it is opened again. Its header, what has settled, its blocks and
-- its papers stay; until then it counts as cancelled.
-- ARGV: P, id.
local stays = {[''] = true, [':settled'] = true, [':blocks'] = true, [':handed'] = true, [':keys'] = true}
redis.call('HSET', RUN, 'state', 'withdrawn', 'status', 'cancelled')
redis.call('HDEL', RUN, 'crashes', 'doubt', 'catch', 'first', 'outcome', 'reason', 'tickets:0', 'tickets:1', 'moved:0',
  'moved:1', 'again:0', 'again:1')
for _, suffix in ipairs(SUFFIXES) do
  if not stays[suffix] then redis.call('DEL', RUN .. suffix) end
end
