-- Claim an act: nobody else may do it for as long as the lease is kept. KEYS[1] is the key of the act that it is if it
-- is none yet. Two commands that come to the same Task are one act, whichever of their addresses it is found under.
--
--   P act:<act>            HASH    state claimed (nothing is done yet) | intended (it may be done) | doubt | done |
--                                  free (it was not done, and may be claimed again), claims (how many there were),
--                                  fence (of the newest: its number and a random part, for a server that loses its last
--                                  second counts one number twice), owner, until (ms), task (its CID) and by (what the
--                                  job that has claimed it last knows it by), about, label, digest (of what was intended),
--                                  since (ms, of the intent), why (it is in doubt), lock (what it has locked), judged (1
--                                  once it was freed by another than its holder, who may be slow and still do it);
--                                  done: receipt (CID), envelope (the signed receipt). It never expires.
--   P act:<act>:runs       SET     ids of the runs that have been told of its being in doubt
--   P acts                 ZSET    all acts, by when they were first claimed (ms)
--   P doubts               ZSET    the acts in doubt, by when that was found (ms)
--   P acts:of              HASH    CID of a Task -> the act that it stands for, once and for all
--   P lock:<what>          STRING  act and fence of the one that may touch a resource now
--
-- ARGV: P, id of the run, act, node, q, owner, lease (ms), resource to lock ('' for none), about, label, random part of
--   the fence, its Task with its inputs in place ('' where those are secret), its addresses whatever its inputs come to.
-- Returns one of
--   {'run', fence, judged, act}   it is yours to do
--   {'done', cid, envelope}       it has been done: its receipt
--   {'doubt', fence, why, act}    it may have been done
--   {'wait'}                      another does it, or holds the lock: the node is put aside
--   {'apart'}                     it is two acts, or one that is another's by now: it must not be done
--   {'lost'}                      the node is not leased to this owner any more
local node, q, owner, lease, lock, task = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8], ARGV[12]
local now = clock()
if redis.call('HGET', P .. 'run:' .. ID .. ':claims', node) ~= q .. '|' .. owner then return {'lost'} end

-- What it is told of an act holds for its own addresses from now on.
local function bind(act)
  for i = 13, #ARGV do redis.call('HSETNX', P .. 'acts:of', ARGV[i], act) end
end

-- The answer of an act that is done, doubted or going on; nil where it may be claimed.
local function answer(act)
  local key = P .. 'act:' .. act
  local state, fence, until_ms, judged = unpack(redis.call('HMGET', key, 'state', 'fence', 'until', 'judged'))
  if state == 'done' then
    bind(act)
    return {'done', unpack(redis.call('HMGET', key, 'receipt', 'envelope'))}
  end
  if state == 'claimed' and string.match(fence, '-(.*)$') == ARGV[11] then return {'run', fence, judged or '', act} end  -- asked again
  if (state == 'claimed' or state == 'intended') and tonumber(until_ms) > now then
    stand_aside(ID, node, q, act, tonumber(until_ms))
    return {'wait'}
  end
  if state == 'intended' then
    redis.call('HSET', key, 'state', 'doubt', 'why', 'whoever was to do it has not been heard of since')
    redis.call('ZADD', P .. 'doubts', now, act)
    state = 'doubt'
  end
  if state == 'doubt' then
    bind(act)
    redis.call('SADD', key .. ':runs', ID)
    return {'doubt', fence, redis.call('HGET', key, 'why') or '', act}
  end
end

-- Its place in a job says which act it is, else its Task. One that came to another Task since for another job is not it.
local first, several
for i = #ARGV, 12, -1 do
  local act = redis.call('HGET', P .. 'acts:of', ARGV[i])
  if act then
    first = first or act
    several = several or act ~= first
  end
end
if first then
  local is, by = unpack(redis.call('HMGET', P .. 'act:' .. first, 'task', 'by'))
  local mine = is == task or (by or first) == ARGV[3]
  local said = mine and answer(first)
  if said then return said end
  if several or not mine then return {'apart'} end
end
local act = first or ARGV[3]
local key = P .. 'act:' .. act
if lock ~= '' then
  local holder = redis.call('GET', P .. 'lock:' .. lock)
  if holder and string.match(holder, '^(.*)|') ~= act then
    stand_aside(ID, node, q, 'lock:' .. lock, now + math.max(1, redis.call('PTTL', P .. 'lock:' .. lock)))
    return {'wait'}
  end
end
local fence = redis.call('HINCRBY', key, 'claims', 1) .. '-' .. ARGV[11]
redis.call('HSET', key, 'state', 'claimed', 'fence', fence, 'owner', owner, 'until', now + lease, 'lock', lock,
  'task', task ~= '' and task or ARGV[13], 'by', ARGV[3], 'about', ARGV[9], 'label', ARGV[10], 'run', ID)
if lock ~= '' then redis.call('SET', P .. 'lock:' .. lock, act .. '|' .. fence, 'PX', lease) end
bind(act)
if task ~= '' then redis.call('HSETNX', P .. 'acts:of', task, act) end
redis.call('ZADD', P .. 'acts', 'NX', now, act)
return {'run', fence, redis.call('HGET', key, 'judged') or '', act}
