-- Settle nodes: store each receipt once, tell the successors, publish what became ready, and lease more work, in one
-- step. A node that its owner has lost, or that has a record already, is left as it is.
-- ARGV: P, id, owner, q, want, lease (ms), receipt lifetime (ms, 0 = for ever), status ('' or the run's own),
--   count, nodes that the owner runs ahead of their release,
--   count, for each token that says receipts in the service's name: its CID in base16, binary, the token,
--   count, for each node given back: its number, how many Tasks, the Tasks,
--   count, for each node settled: its number, 'claimed' or 'ahead', record, receipt's key, receipt, which of these tokens says
--     it (0: none), 'c' or 'n', 1 if it fails the run, how many Tasks, the Tasks, how many targets, for each: its number, what it waits for, q.
-- Returns {state, careful, revoked delegations, node, deaths, node, deaths, …}.
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
if not state then return {'gone', 0, 0} end
local mine = q .. '|' .. owner

local ahead, kept = {}, {}
for _, node in ipairs(arguments()) do ahead[node] = true end

local said = {}
for i = 1, tonumber(argument()) do said[i] = {argument(), argument(), argument()} end

local back = {}
for _ = 1, tonumber(argument()) do
  local node, tasks = argument(), arguments()
  for _, task in ipairs(tasks) do
    if redis.call('GET', P .. 'flight:' .. task) == owner then redis.call('DEL', P .. 'flight:' .. task) end
  end
  if redis.call('HGET', RUN .. ':claims', node) == mine then back[#back + 1] = node end
end

local given, nodes = {}, {}
for i = 1, tonumber(argument()) do
  local each = {node = argument(), how = argument(), record = argument(), key = argument(), receipt = argument()}
  each.said, each.reusable, each.fails, each.tasks, each.targets = said[tonumber(argument())], argument(), argument() == '1', arguments(), {}
  for t = 1, tonumber(argument()) do
    each.targets[t] = {argument(), tonumber(argument()), argument()}
  end
  given[i], nodes[i] = each, each.node
end
local claims = #nodes > 0 and redis.call('HMGET', RUN .. ':claims', unpack(nodes)) or {}
local earlier = #nodes > 0 and redis.call('HMGET', RUN .. ':settled', unpack(nodes)) or {}

-- How many predecessors of the nodes that are told have settled: read at once, counted here, written at once.
local arrived, counted = {}, {}
do
  local asked = {}
  for _, each in ipairs(given) do
    for _, target in ipairs(each.targets) do
      if target[2] > 1 and not arrived[target[1]] then
        arrived[target[1]] = 0
        asked[#asked + 1] = target[1]
      end
    end
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

-- A node that ran ahead counts only if this step, or its owner before, released it: where the lease on the head of its
-- chain was lost, it may hold values that no receipt has.
local released, told, gone, records, saved, landed, failures, over, free = {}, {}, {}, {}, {}, {}, 0, {}, {}
for i, each in ipairs(given) do
  local owned = claims[i] == mine or (each.how == 'ahead' and free[each.node])
  if owned and not earlier[i] and not over[each.node] then
    gone[#gone + 1] = each.node
    over[each.node] = true
    records[#records + 1] = each.node
    records[#records + 1] = each.record
    local flag = string.sub(each.record, 37, 37)
    told[#told + 1] = each.node .. ' ' .. flag
    if flag == 'i' then redis.call('HSET', RUN, 'doubt', 1) end
    if each.receipt ~= '' then
      saved[#saved + 1] = P .. 'block:' .. each.key
      saved[#saved + 1] = each.receipt
      if each.said then
        saved[#saved + 1] = P .. 'proxy:' .. each.key
        saved[#saved + 1] = each.said[2]
        if each.said[3] then
          saved[#saved + 1] = P .. 'block:' .. each.said[1]
          saved[#saved + 1] = each.said[3]
          each.said[3] = nil
        end
      end
    end
    for _, task in ipairs(each.tasks) do
      landed[#landed + 1] = task
      local known = false
      if each.receipt == '' then
        known = redis.call('EXISTS', P .. 'receipt:' .. task) == 1
      elseif each.reusable == 'n' then
        known = string.sub(redis.call('GET', P .. 'receipt:' .. task) or '', 1, 1) == 'c'
      end
      if not known then
        saved[#saved + 1] = P .. 'receipt:' .. task
        saved[#saved + 1] = each.reusable .. string.sub(each.record, 1, 36)
      end
    end
    if each.fails then
      failures = failures + 1
      local first = tonumber(redis.call('HGET', RUN, 'first') or '') or math.huge
      if tonumber(each.node) < first then redis.call('HSET', RUN, 'first', each.node) end
    end
    for _, target in ipairs(each.targets) do
      local node, waits, where = unpack(target)
      if waits == 1 or arrive(node) == waits then
        free[node] = true
        if ahead[node] then
          kept[#kept + 1] = node
        else
          released[where] = released[where] or {}
          table.insert(released[where], node)
        end
      end
    end
  elseif claims[i] == mine then
    redis.call('ZREM', RUN .. ':leases', each.node)
    redis.call('HDEL', RUN .. ':claims', each.node)
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
    local flights = {}
    for i, task in ipairs(landed) do flights[i] = P .. 'flight:' .. task end
    redis.call('DEL', unpack(flights))
    if redis.call('EXISTS', P .. 'awaited') == 1 then
      for _, task in ipairs(landed) do wake(task) end
    end
  end
  redis.call('ZREM', RUN .. ':leases', unpack(gone))
  redis.call('HDEL', RUN .. ':claims', unpack(gone))
  redis.call('XADD', RUN .. ':events', '*', 's', table.concat(told, ','))
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
claim(q, owner, clock() + lease, unsettled(kept))
put_back(RUN, ID, back, 0)

local left = done > 0 and redis.call('HINCRBY', RUN, 'left', -done) or tonumber(redis.call('HGET', RUN, 'left'))
if state ~= 'running' then
  lapse(RUN)
  return {state, 0, 0}
end
if left == 0 and done > 0 then
  conclude()
  return {redis.call('HGET', RUN, 'state'), 0, 0}
end
local taken = take(q, owner, want, lease)
for where in pairs(released) do top_up(RUN, ID, where) end
if not released[q] then top_up(RUN, ID, q) end
return {state, careful() and 1 or 0, redis.call('HLEN', P .. 'revoked'), unpack(taken)}
