-- What every script shares. ARGV[1] is the key prefix P, ARGV[2] the run's id; KEYS[1] is the run's key.
--
--   P run:<id>             HASH    state running|done|cancelled|withdrawn (about to be opened again), status,
--                                  left, failed, first, catch, ttl, and for each queue index q: queue:<q> (its list),
--                                  message:<q> (the broker message with marks), tickets:<q> (messages that are out),
--                                  moved:<q> (when one was published last, or a node begun, ms), again:<q> (when lost ones
--                                  were published again); crashes (guests that killed their worker), doubt (an act of it
--                                  is in doubt);
--                                  of a run that came through the gate: inv, push (CIDs of the invocations 8 and 9),
--                                  service (DID), grants (CID of the tokens sent along), answer (the queue's, to 9)
--   P run:<id>:handed      HASH    CID of a pop -> the queue's signed hand-out of the run to it
--   P run:<id>:keys        HASH    DID of a reader ('' for the first) -> box with the key that secrets are sealed with
--   P run:<id>:settled     HASH    node -> receipt CID (36 bytes), flag, out       exactly one record a node
--   P run:<id>:arrived     HASH    node -> predecessors that have settled          absent = none
--   P run:<id>:ready:<q>   ZSET    node, scored by its number                      released, not begun
--   P run:<id>:leases      ZSET    node -> until (ms)                              begun, not settled
--   P run:<id>:claims      HASH    node -> q|owner                                 who holds the lease
--   P run:<id>:waiting     ZSET    node -> until (ms)                              waits for a Task of another run
--   P run:<id>:since       HASH    node -> when its wait began (ms)
--   P run:<id>:deaths      HASH    node -> points: how often its worker died under it
--   P run:<id>:blocks      SET     the blocks that only runs need (plan, pages, document); they lapse with it
--   P run:<id>:lapsed      HASH    node|owner of each lease that lapsed, for when its owner's death is told later
--   P run:<id>:further     HASH    node|DID -> the run (16 digits) that its task has asked for, and what with
--   P run:<id>:events      STREAM  one entry a settle: s = "node flag,…", of a single node also r = its record; the
--                                  last has end = status
--   P receipt:<task>       STRING  flag ('c' may be reused, 'n' not) and receipt CID
--   P proxy:<receipt>      STRING  binary CID of the token that says the receipt in the service's name; of a receipt of
--                                  another queue, also that of the container of delegations that it came with
--   P block:<cid>          STRING  a block's bytes
--   P revoked              HASH    CID of a revoked delegation -> when it would have lapsed anyway; version -> another
--                                  text each time that one is added
--   P flights              HASH    pure Task -> until (ms)|owner who is computing it now
--   P waiters:<what>       SET     id|node|q of those who wait for a Task's receipt, an act's or a run's end, or a lock
--   P awaited              SET     what has waiters
--   P slots:<list>         STRING  how many processes consume a queue
--   P keys:wanted          SET     id|DID of workers that ask for a run's key
--   P live                 SET     ids of runs that are not over
local P, ID, RUN = ARGV[1], ARGV[2], KEYS[1]
local SUFFIXES = {'', ':settled', ':arrived', ':ready:0', ':ready:1', ':leases', ':claims', ':waiting', ':since',
  ':deaths', ':lapsed', ':events', ':blocks', ':handed', ':keys', ':further'}

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- What is another text once something more has been revoked.
local function revocations()
  return redis.call('HGET', P .. 'revoked', 'version') or ''
end

-- The key of a block by its binary CID.
local function block_key(cid)
  local hex = string.gsub(cid, '.', function(byte) return string.format('%02x', string.byte(byte)) end)
  return P .. 'block:f' .. hex
end

local function slots(list)
  return tonumber(redis.call('GET', P .. 'slots:' .. list) or '2')
end

-- Publish messages until as many are out as the consumers of the queue can use, each naming a ready node.
local function top_up(run, id, q)
  local ready = redis.call('ZCARD', run .. ':ready:' .. q)
  if ready == 0 then return end
  local list, template, tickets = unpack(redis.call('HMGET', run, 'queue:' .. q, 'message:' .. q, 'tickets:' .. q))
  local out, want = tonumber(tickets or '0'), math.min(ready, 2 * slots(list))
  if out >= want then return end
  for _, node in ipairs(redis.call('ZRANGE', run .. ':ready:' .. q, out, want - 1)) do
    local marks = {['@RUN@'] = id, ['@NODE@'] = node}
    redis.call('LPUSH', list, (string.gsub(template, '@%u+@', marks)))
  end
  redis.call('HSET', run, 'tickets:' .. q, want, 'moved:' .. q, clock())
end

local function add_ready(run, q, nodes)
  for first = 1, #nodes, 1000 do
    local scored = {}
    for i = first, math.min(first + 999, #nodes) do
      scored[#scored + 1] = nodes[i]
      scored[#scored + 1] = nodes[i]
    end
    redis.call('ZADD', run .. ':ready:' .. q, unpack(scored))
  end
end

-- Lease nodes to an owner.
local function claim(q, owner, until_ms, nodes)
  if #nodes == 0 then return end
  local leases, claims, mine = {}, {}, q .. '|' .. owner
  for i, node in ipairs(nodes) do
    leases[2 * i - 1], leases[2 * i] = until_ms, node
    claims[2 * i - 1], claims[2 * i] = node, mine
  end
  redis.call('ZADD', RUN .. ':leases', unpack(leases))
  redis.call('HSET', RUN .. ':claims', unpack(claims))
end

-- A run in which a guest has killed its worker goes on one node at a time, so that the guilty one is found.
local function careful()
  return redis.call('HEXISTS', RUN, 'crashes') == 1
end

-- Take up to `want` ready nodes, but no more than this consumer's share, unless that is little work: the last nodes
-- would be handed out by ever smaller parts. Those that have seen a worker die go one by one, as all do where `alone`.
local function take(q, owner, want, lease, alone, hint)
  local key = RUN .. ':ready:' .. q
  local ready = redis.call('ZCARD', key)
  if ready == 0 or want < 1 then return {} end
  local least = math.ceil(ready / slots(redis.call('HGET', RUN, 'queue:' .. q)))
  local share = alone and 1 or math.min(want, math.max(least, math.ceil(want / 16)))
  local nodes = redis.call('ZRANGE', key, 0, share - 1)
  if hint and redis.call('ZSCORE', key, hint) then
    table.insert(nodes, 1, hint)
  end
  local deaths = redis.call('EXISTS', RUN .. ':deaths') == 1 and redis.call('HMGET', RUN .. ':deaths', unpack(nodes)) or {}
  local taken, answer, seen = {}, {}, {}
  for i, node in ipairs(nodes) do
    local points = tonumber(deaths[i] or '0')
    if not seen[node] and #taken < share and (points == 0 or #taken == 0) then
      seen[node] = true
      taken[#taken + 1] = node
      answer[#answer + 1] = tonumber(node)
      answer[#answer + 1] = points
      if points > 0 then break end
    end
  end
  redis.call('ZREM', key, unpack(taken))
  local now = clock()
  claim(q, owner, now + lease, taken)
  redis.call('HSET', RUN, 'moved:' .. q, now)
  return answer
end

-- What `flights` says of a pure Task: until when (ms) somebody is computing it, and who; 0 where nobody is.
local function read_flight(flight)
  local till, who = string.match(flight or '', '^(%d+)|(.*)$')
  return tonumber(till or 0), who
end

local function split(text)
  local parts = {}
  for part in string.gmatch(text, '[^|]+') do parts[#parts + 1] = part end
  return parts
end

-- Put nodes whose lease is over back among the ready; `points` count against them. Of a run that is over they are let go.
local function put_back(run, id, nodes, points)
  if #nodes == 0 then return end
  local queues, goes_on = {}, redis.call('HGET', run, 'state') == 'running'
  for _, node in ipairs(nodes) do
    local q = string.sub(redis.call('HGET', run .. ':claims', node) or '0|', 1, 1)
    redis.call('ZREM', run .. ':leases', node)
    redis.call('HDEL', run .. ':claims', node)
    if points > 0 then redis.call('HINCRBY', run .. ':deaths', node, points) end
    if goes_on and redis.call('HEXISTS', run .. ':settled', node) == 0 then
      redis.call('ZADD', run .. ':ready:' .. q, node, node)
      queues[q] = true
    end
  end
  for q in pairs(queues) do top_up(run, id, q) end
end

-- Wake whoever waits for a Task's receipt, or for a run's end.
local function wake(task)
  local key = P .. 'waiters:' .. task
  local waiters = redis.call('SMEMBERS', key)
  if #waiters == 0 then return end
  redis.call('DEL', key)
  redis.call('SREM', P .. 'awaited', task)
  for _, waiter in ipairs(waiters) do
    local id, node, q = unpack(split(waiter))
    local run = P .. 'run:' .. id
    if redis.call('ZREM', run .. ':waiting', node) == 1 and redis.call('HGET', run, 'state') == 'running' then
      redis.call('ZADD', run .. ':ready:' .. q, node, node)
      top_up(run, id, q)
    end
  end
end

-- Put a leased node aside until `what` wakes it, or until `until_ms`.
local function stand_aside(id, node, q, what, until_ms)
  local run = P .. 'run:' .. id
  redis.call('SADD', P .. 'waiters:' .. what, id .. '|' .. node .. '|' .. q)
  redis.call('PEXPIRE', P .. 'waiters:' .. what, 7 * 86400000)
  redis.call('SADD', P .. 'awaited', what)
  redis.call('ZREM', run .. ':leases', node)
  redis.call('HSET', run .. ':claims', node, q .. '|')
  redis.call('ZADD', run .. ':waiting', until_ms, node)
end

-- Keep what an act has locked for as long as the act itself; false where it has lapsed and another act has it.
local function keep_lock(lock, act, fence, lease)
  if lock == '' then return true end
  local key, mine = P .. 'lock:' .. lock, act .. '|' .. fence
  if (redis.call('GET', key) or mine) ~= mine then return false end
  redis.call('SET', key, mine, 'PX', lease)
  return true
end

-- Give all keys of a run that is over their lifetime.
local function lapse(run)
  local ttl = tonumber(redis.call('HGET', run, 'ttl') or '0')
  if ttl == 0 then return end
  for _, cid in ipairs(redis.call('SMEMBERS', run .. ':blocks')) do redis.call('PEXPIRE', P .. 'block:' .. cid, ttl) end
  for _, suffix in ipairs(SUFFIXES) do redis.call('PEXPIRE', run .. suffix, ttl) end
end

local cut_short

-- End a run, and the further runs that its tasks have asked for; wake who waits for its end.
local function finish(run, state, status)
  local id = string.sub(run, #P + 5)
  redis.call('HSET', run, 'state', state, 'status', status)
  redis.call('XADD', run .. ':events', '*', 'end', status)
  redis.call('SREM', P .. 'live', id)
  for i, note in ipairs(redis.call('HGETALL', run .. ':further')) do
    local further = P .. 'run:' .. string.sub(note, 1, 16)
    if i % 2 == 0 and redis.call('HGET', further, 'state') == 'running' then cut_short(further) end
  end
  lapse(run)
  wake('run:' .. id)
end

-- End a further run because the run that it was for has ended.
cut_short = function(further)
  redis.call('HSET', further, 'reason', 'the run that it was for is over')
  finish(further, 'cancelled', 'cancelled')
end

-- The run has no node left: hand the first failure to the catch handler, or end. Returns its state.
local function conclude()
  local fields = redis.call('HMGET', RUN, 'failed', 'catch', 'status', 'doubt')
  if tonumber(fields[1] or '0') > 0 and fields[2] then
    redis.call('HDEL', RUN, 'catch')
    redis.call('HSET', RUN, 'left', 1)
    add_ready(RUN, '0', {fields[2]})
    top_up(RUN, ID, '0')
    return 'running'
  end
  finish(RUN, 'done', fields[4] and 'in-doubt' or fields[3] or (tonumber(fields[1] or '0') > 0 and 'error' or 'ok'))
  return 'done'
end
