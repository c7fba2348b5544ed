-- A message has arrived: count it off and lease nodes to its receiver.
-- ARGV: P, id, owner, q, want, lease (ms), node that the message names.
-- Returns {state, careful, node, deaths, node, deaths, …}.
local owner, q, want, lease, hint = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local state = redis.call('HGET', RUN, 'state')
if not state then return {'gone', 0} end
if redis.call('HINCRBY', RUN, 'tickets:' .. q, -1) < 0 then redis.call('HSET', RUN, 'tickets:' .. q, 0) end
if state ~= 'running' then return {state, 0} end
local taken = take(q, owner, want, lease, hint)
top_up(RUN, ID, q)
return {state, careful() and 1 or 0, unpack(taken)}
