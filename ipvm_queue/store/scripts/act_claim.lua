-- Claim an act: nobody else may do it for as long as the lease is kept. KEYS[1] is the act's key.
--
--   P act:<act>            HASH    state claimed (nothing is done yet) | intended (it may be done) | doubt | done |
--                                  free (it was not done, and may be claimed again), claims (how many there were),
--                                  fence (of the newest: its number and a random part, for a server that loses its last
--                                  second counts one number twice), owner, until (ms), task (its CID), about, label, digest (of what was intended),
--                                  since (ms, of the intent), why (it is in doubt), lock (what it has locked), judged (1
--                                  once it was freed by another than its holder, who may be slow and still do it);
--                                  done: receipt (CID), envelope (the signed receipt). It never expires.
--   P act:<act>:runs       SET     ids of the runs that have been told of its being in doubt
--   P acts                 ZSET    all acts, by when they were first claimed (ms)
--   P doubts               ZSET    the acts in doubt, by when that was found (ms)
--   P acts:of              HASH    CID of a Task -> the act that it stands for
--   P lock:<what>          STRING  act and fence of the one that may touch a resource now
--
-- ARGV: P, id of the run, act, node, q, owner, lease (ms), resource to lock ('' for none), about, label, random part of
--   the fence, count, Tasks.
-- Returns one of
--   {'run', fence, judged}    it is yours to do
--   {'done', cid, envelope}   it has been done: its receipt
--   {'doubt', fence, why}     it may have been done
--   {'wait'}                  another does it, or holds the lock: the node is put aside
--   {'lost'}                  the node is not leased to this owner any more
local ACT, act, node, q, owner, lease, lock = KEYS[1], ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
local now = clock()
if redis.call('HGET', P .. 'run:' .. ID .. ':claims', node) ~= q .. '|' .. owner then return {'lost'} end
local state, fence, until_ms, judged = unpack(redis.call('HMGET', ACT, 'state', 'fence', 'until', 'judged'))
if state == 'done' then return {'done', unpack(redis.call('HMGET', ACT, 'receipt', 'envelope'))} end
if state == 'claimed' and string.match(fence, '-(.*)$') == ARGV[11] then return {'run', fence, judged or ''} end  -- asked again
if (state == 'claimed' or state == 'intended') and tonumber(until_ms) > now then
  stand_aside(ID, node, q, act, tonumber(until_ms))
  return {'wait'}
end
if state == 'intended' then
  redis.call('HSET', ACT, 'state', 'doubt', 'why', 'whoever was to do it has not been heard of since')
  redis.call('ZADD', P .. 'doubts', now, act)
  state = 'doubt'
end
if state == 'doubt' then
  redis.call('SADD', ACT .. ':runs', ID)
  return {'doubt', fence, redis.call('HGET', ACT, 'why') or ''}
end
if lock ~= '' then
  local holder = redis.call('GET', P .. 'lock:' .. lock)
  if holder and string.match(holder, '^(.*)|') ~= act then
    stand_aside(ID, node, q, 'lock:' .. lock, now + math.max(1, redis.call('PTTL', P .. 'lock:' .. lock)))
    return {'wait'}
  end
end
fence = redis.call('HINCRBY', ACT, 'claims', 1) .. '-' .. ARGV[11]
redis.call('HSET', ACT, 'state', 'claimed', 'fence', fence, 'owner', owner, 'until', now + lease, 'lock', lock,
  'task', ARGV[13], 'about', ARGV[9], 'label', ARGV[10], 'run', ID)
if lock ~= '' then redis.call('SET', P .. 'lock:' .. lock, act .. '|' .. fence, 'PX', lease) end
for i = 13, 12 + tonumber(ARGV[12]) do redis.call('HSET', P .. 'acts:of', ARGV[i], act) end
redis.call('ZADD', P .. 'acts', 'NX', now, act)
return {'run', fence, judged or ''}
