-- A message has arrived: count it off and lease nodes to its receiver.
-- ARGV: P, id, owner, the list that it came by, want, lease (ms), node that the message names, CID of the plan ('' where
--   the owner has it), CID of the pop under which the owner works ('' where it has the run's papers).
-- Returns {{state, careful, version of what is revoked, node, deaths, node, deaths, …}, q, plan}, and after it, if they
-- were asked for and the run has them, its papers: CIDs of the invocations 8 and 9, the tokens sent along, the hand-out.
local owner, list, want, lease, hint = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local fields = redis.call('HMGET', RUN, 'state', 'queue:0', 'queue:1', 'crashes', 'inv', 'push', 'grants')
local state, first, second, crashes, inv, push, grants = unpack(fields)
if not state then return {{'gone', 0, ''}, 0, ''} end
local q = first == list and '0' or second == list and '1'
if not q then return {{state, 0, ''}, 0, ''} end
if redis.call('HINCRBY', RUN, 'tickets:' .. q, -1) < 0 then redis.call('HSET', RUN, 'tickets:' .. q, 0) end
if state ~= 'running' then return {{state, 0, ''}, tonumber(q), ''} end
local taken = take(q, owner, want, lease, crashes, hint)
top_up(RUN, ID, q)
local plan = #taken > 0 and ARGV[8] ~= '' and redis.call('GET', P .. 'block:' .. ARGV[8]) or ''
local granted = {state, crashes and 1 or 0, revocations(), unpack(taken)}
local answer = {granted, tonumber(q), plan}
if ARGV[9] ~= '' and inv and push and grants then
  local tokens = redis.call('GET', block_key(grants)) or ''
  for _, paper in ipairs({inv, push, tokens, redis.call('HGET', RUN .. ':handed', ARGV[9]) or ''}) do
    answer[#answer + 1] = paper
  end
end
return answer
