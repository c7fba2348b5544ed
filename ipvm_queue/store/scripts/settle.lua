-- Settle nodes: store each receipt once, tell the successors, publish what became ready, and lease more work, in one
-- step. A node that its owner has lost, or that has a record already, is left as it is.
-- ARGV: P, id, owner, q, want, lease (ms), receipt lifetime (ms, 0 = for ever), status ('' or the run's own),
--   count, nodes that the owner runs ahead of their release,
--   count, for each token that says receipts in the service's name: its CID in base16, binary, the token,
--   count, for each node given back: its number, how many Tasks, the Tasks,
--   count, for each node that is told: its number, what it waits for, q,
--   count, for each node settled: its number, three letters, record, receipt's key, receipt, the place of the token that
--     says it (0: none), how many Tasks, the Tasks, how many nodes it tells, their places.
-- The letters: (a)head or (r)eleased; 'c' or 'n' of its receipt; whether it (f)ails the run, or not (-).
-- Returns {state, careful, version of what is revoked, node, deaths, node, deaths, …}.
local owner, q, want, lease = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local ttl, status, at = tonumber(ARGV[7]), ARGV[8], 8

local function argument()
  at = at + 1
  return ARGV[at]
end

local function arguments()
  local list = {}
  for i = 1, tonumber(argument()) do list[i] = argument() end
  return list
end

local state = redis.call('HGET', RUN, 'state')
if not state then return {'gone', 0, ''} end
local mine = q .. '|' .. owner

local ahead, kept = {}, {}
for _, node in ipairs(arguments()) do ahead[node] = true end

local said = {}
for i = 1, tonumber(argument()) do said[tostring(i)] = {argument(), argument(), argument()} end

local back = {}
for _ = 1, tonumber(argument()) do
  local node, tasks = argument(), arguments()
  for _, task in ipairs(tasks) do
    local _, who = read_flight(redis.call('HGET', P .. 'flights', task))
    if who == owner then redis.call('HDEL', P .. 'flights', task) end
  end
  if redis.call('HGET', RUN .. ':claims', node) == mine then back[#back + 1] = node end
end

-- Whom they tell, and how many predecessors of those have settled: read at once, counted here, written at once.
local targets, arrived, counted = {}, {}, {}
do
  local asked = {}
  for i = 1, tonumber(argument()) do
    local target = {argument(), tonumber(argument()), argument()}
    targets[tostring(i)] = target
    if target[2] > 1 then asked[#asked + 1] = target[1] end
  end
  for first = 1, #asked, 1000 do
    local last = math.min(first + 999, #asked)
    for i, count in ipairs(redis.call('HMGET', RUN .. ':arrived', unpack(asked, first, last))) do
      arrived[asked[first + i - 1]] = tonumber(count or '0')
    end
  end
end
local function arrive(node)
  arrived[node] = arrived[node] + 1
  counted[node] = true
  return arrived[node]
end

-- Where the arguments of each begin: they stay where they are.
local begins, nodes = {}, {}
for i = 1, tonumber(argument()) do
  begins[i], nodes[i] = at, ARGV[at + 1]
  at = at + 7 + tonumber(ARGV[at + 7])
  at = at + 1 + tonumber(ARGV[at + 1])
end
local claims = #nodes > 0 and redis.call('HMGET', RUN .. ':claims', unpack(nodes)) or {}
local earlier = #nodes > 0 and redis.call('HMGET', RUN .. ':settled', unpack(nodes)) or {}

-- A node that ran ahead counts only if this step, or its owner before, released it: where the lease on the head of its
-- chain was lost, it may hold values that no receipt has.
local released, told, gone, records, saved, landed, failures, over, free = {}, {}, {}, {}, {}, {}, 0, {}, {}
local BLOCK, PROXY, RECEIPT = P .. 'block:', P .. 'proxy:', P .. 'receipt:'

-- Keys and values that are written at once.
local size = 0
local function save(key, value)
  saved[size + 1], saved[size + 2] = key, value
  size = size + 2
end

for i, node in ipairs(nodes) do
  local begin = begins[i]
  local letters = ARGV[begin + 2]
  local owned = claims[i] == mine or (free[node] and string.sub(letters, 1, 1) == 'a')
  if owned and not earlier[i] and not over[node] then
    local record, key, receipt = ARGV[begin + 3], ARGV[begin + 4], ARGV[begin + 5]
    local reusable = string.sub(letters, 2, 2)
    over[node] = true
    gone[#gone + 1] = node
    records[2 * #gone - 1], records[2 * #gone] = node, record
    local flag = string.sub(record, 37, 37)
    told[#gone] = node .. ' ' .. flag
    if flag == 'i' then redis.call('HSET', RUN, 'doubt', 1) end
    if receipt ~= '' then
      save(BLOCK .. key, receipt)
      local by = said[ARGV[begin + 6]]
      if by then
        save(PROXY .. key, by[2])
        if by[3] then
          save(BLOCK .. by[1], by[3])
          by[3] = nil
        end
      end
    end
    local last = begin + 7 + tonumber(ARGV[begin + 7])
    for t = begin + 8, last do
      local task = ARGV[t]
      landed[#landed + 1] = task
      local known = false
      if receipt == '' then
        known = redis.call('EXISTS', RECEIPT .. task) == 1
      elseif reusable == 'n' then
        known = string.sub(redis.call('GET', RECEIPT .. task) or '', 1, 1) == 'c'
      end
      if not known then save(RECEIPT .. task, reusable .. string.sub(record, 1, 36)) end
    end
    if string.sub(letters, 3) == 'f' then
      failures = failures + 1
      local first = tonumber(redis.call('HGET', RUN, 'first') or '') or math.huge
      if tonumber(node) < first then redis.call('HSET', RUN, 'first', node) end
    end
    for place = last + 2, last + 1 + tonumber(ARGV[last + 1]) do
      local target, waits, where = unpack(targets[ARGV[place]])
      if waits == 1 or arrive(target) == waits then
        free[target] = true
        if ahead[target] then
          kept[#kept + 1] = target
        else
          released[where] = released[where] or {}
          table.insert(released[where], target)
        end
      end
    end
  elseif claims[i] == mine then
    redis.call('ZREM', RUN .. ':leases', node)
    redis.call('HDEL', RUN .. ':claims', node)
  end
end

local done = #gone
if done > 0 then
  redis.call('HSET', RUN .. ':settled', unpack(records))
  local counts = {}
  for node in pairs(counted) do
    counts[#counts + 1] = node
    counts[#counts + 1] = arrived[node]
  end
  for first = 1, #counts, 1000 do
    redis.call('HSET', RUN .. ':arrived', unpack(counts, first, math.min(first + 999, #counts)))
  end
  if #saved > 0 then
    redis.call('MSET', unpack(saved))
    if ttl > 0 then
      for i = 1, #saved, 2 do redis.call('PEXPIRE', saved[i], ttl) end
    end
  end
  if #landed > 0 then
    redis.call('HDEL', P .. 'flights', unpack(landed))
    if redis.call('EXISTS', P .. 'awaited') == 1 then
      for _, task in ipairs(landed) do wake(task) end
    end
  end
  redis.call('ZREM', RUN .. ':leases', unpack(gone))
  redis.call('HDEL', RUN .. ':claims', unpack(gone))
  local alone = done == 1 and {'r', records[2]} or {}
  redis.call('XADD', RUN .. ':events', '*', 's', table.concat(told, ','), unpack(alone))
end
if failures > 0 then redis.call('HINCRBY', RUN, 'failed', failures) end
if status ~= '' and done > 0 then redis.call('HSET', RUN, 'status', status) end
local function unsettled(nodes)
  local rest = {}
  for _, node in ipairs(nodes) do
    if not over[node] then rest[#rest + 1] = node end
  end
  return rest
end
for where, nodes in pairs(released) do add_ready(RUN, where, unsettled(nodes)) end
if #kept > 0 then claim(q, owner, clock() + lease, unsettled(kept)) end
put_back(RUN, ID, back, 0)

local left = done > 0 and redis.call('HINCRBY', RUN, 'left', -done) or tonumber(redis.call('HGET', RUN, 'left'))
if state ~= 'running' then
  lapse(RUN)
  return {state, 0, ''}
end
if left == 0 and done > 0 then
  return {conclude(), 0, ''}
end
local alone = careful()
local taken = take(q, owner, want, lease, alone)
for where in pairs(released) do top_up(RUN, ID, where) end
if not released[q] then top_up(RUN, ID, q) end
return {state, alone and 1 or 0, revocations(), unpack(taken)}
