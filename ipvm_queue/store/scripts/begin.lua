-- A message has arrived: count it off and lease nodes to its receiver.
-- ARGV: P, id, owner, q, want, lease (ms), node that the message names, CID of the pop under which the owner works
--   ('' where it has the run's papers).
-- Returns {{state, careful, revoked delegations, node, deaths, node, deaths, …}}, and after it, if they were asked for
-- and the run has them, its papers: CIDs of the invocations 8 and 9, the tokens sent along, the hand-out.
local owner, q, want, lease, hint = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local state = redis.call('HGET', RUN, 'state')
if not state then return {{'gone', 0, 0}} end
if redis.call('HINCRBY', RUN, 'tickets:' .. q, -1) < 0 then redis.call('HSET', RUN, 'tickets:' .. q, 0) end
if state ~= 'running' then return {{state, 0, 0}} end
local taken = take(q, owner, want, lease, hint)
top_up(RUN, ID, q)
local answer = {{state, careful() and 1 or 0, redis.call('HLEN', P .. 'revoked'), unpack(taken)}}
local inv, push, grants = unpack(redis.call('HMGET', RUN, 'inv', 'push', 'grants'))
if ARGV[8] ~= '' and inv and push and grants then
  local tokens = redis.call('GET', block_key(grants)) or ''
  return {answer[1], inv, push, tokens, redis.call('HGET', RUN .. ':handed', ARGV[8]) or ''}
end
return answer
