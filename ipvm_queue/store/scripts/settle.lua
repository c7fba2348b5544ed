-- Settle nodes: store each receipt once, tell the successors, publish what became ready, and lease more work, in one
-- step. A node that its owner has lost, or that has a record already, is left as it is.
-- ARGV: P, id, owner, q, want, lease (ms), receipt lifetime (ms, 0 = for ever), status ('' or the run's own),
--   count, nodes that the owner runs ahead of their release,
--   count, for each node given back: its number, how many Tasks, the Tasks,
--   count, for each node settled: its number, 'claimed' or 'ahead', record, receipt's key, receipt, 'c' or 'n',
--     1 if it fails the run, how many Tasks, the Tasks, how many targets, for each: its number, what it waits for, q.
-- Returns {state, careful, node, deaths, node, deaths, …}.
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

local function save(key, value)
  if ttl > 0 then redis.call('SET', key, value, 'PX', ttl) else redis.call('SET', key, value) end
end

local state = redis.call('HGET', RUN, 'state')
if not state then return {'gone', 0} end
local mine = q .. '|' .. owner

local ahead, kept = {}, {}
for _, node in ipairs(arguments()) do ahead[node] = true end

local back = {}
for _ = 1, tonumber(argument()) do
  local node, tasks = argument(), arguments()
  for _, task in ipairs(tasks) do redis.call('DEL', P .. 'flight:' .. task) end
  if redis.call('HGET', RUN .. ':claims', node) == mine then back[#back + 1] = node end
end

local released, told, gone, failures, done, over = {}, {}, {}, 0, 0, {}
for _ = 1, tonumber(argument()) do
  local node, how, record = argument(), argument(), argument()
  local key, receipt, reusable, fails = argument(), argument(), argument(), argument() == '1'
  local tasks, targets = arguments(), tonumber(argument())
  local owned = how == 'ahead' or redis.call('HGET', RUN .. ':claims', node) == mine
  if owned and redis.call('HSETNX', RUN .. ':settled', node, record) == 1 then
    done = done + 1
    gone[#gone + 1] = node
    over[node] = true
    told[#told + 1] = node .. ' ' .. string.sub(record, 37, 37)
    if receipt ~= '' then save(P .. 'block:' .. key, receipt) end
    for _, task in ipairs(tasks) do
      if receipt ~= '' then
        local entry = redis.call('GET', P .. 'receipt:' .. task)
        if reusable == 'c' or not entry or string.sub(entry, 1, 1) == 'n' then
          save(P .. 'receipt:' .. task, reusable .. string.sub(record, 1, 36))
        end
      end
      redis.call('DEL', P .. 'flight:' .. task)
      wake(task)
    end
    if fails then
      failures = failures + 1
      local first = tonumber(redis.call('HGET', RUN, 'first') or '') or math.huge
      if tonumber(node) < first then redis.call('HSET', RUN, 'first', node) end
    end
    for _ = 1, targets do
      local target, waits, where = argument(), tonumber(argument()), argument()
      if waits == 1 or redis.call('HINCRBY', RUN .. ':arrived', target, 1) == waits then
        if ahead[target] then
          kept[#kept + 1] = target
        else
          released[where] = released[where] or {}
          table.insert(released[where], target)
        end
      end
    end
  else
    at = at + 3 * targets
  end
end

if #gone > 0 then
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
if state ~= 'running' then return {state, 0} end
if left == 0 and done > 0 then
  conclude()
  return {redis.call('HGET', RUN, 'state'), 0}
end
local taken = take(q, owner, want, lease)
for where in pairs(released) do top_up(RUN, ID, where) end
if not released[q] then top_up(RUN, ID, q) end
return {state, careful() and 1 or 0, unpack(taken)}
