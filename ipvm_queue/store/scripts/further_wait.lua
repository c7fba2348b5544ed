-- Put a node aside until its further run is over, or its time is. KEYS[1] is the run's key.
-- ARGV: P, id, node, q, owner, id of the further run, how long (ms).
-- Returns one of
--   'unknown'   there is no such run yet
--   'over'      it is over: the node is still leased to this owner
--   'late'      it is not, and no time is left
--   'wait'      the node is put aside
--   'lost'      the node is not leased to this owner any more
local node, q, further, rest = ARGV[3], ARGV[4], ARGV[6], tonumber(ARGV[7])
local state = redis.call('HGET', P .. 'run:' .. further, 'state')
if redis.call('HGET', RUN, 'state') ~= 'running' then  -- it ended while the further run was being pushed
  if state == 'running' then cut_short(P .. 'run:' .. further) end
  return 'lost'
end
if redis.call('HGET', RUN .. ':claims', node) ~= q .. '|' .. ARGV[5] then return 'lost' end
if not state then return 'unknown' end
if state ~= 'running' then return 'over' end
if rest <= 0 then return 'late' end
stand_aside(ID, node, q, 'run:' .. further, clock() + rest)
return 'wait'
