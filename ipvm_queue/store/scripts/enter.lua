-- Before running: find receipts that exist, and let one owner alone compute what several want.
-- ARGV: P, id, owner, q, lease (ms), nodes; for each node: its number, mode, patience (ms), how many Tasks, the Tasks.
-- Mode 'work' names the addresses of one pure Task, 'ahead' too, for a node that is not released yet; 'await' names
-- the Tasks that must all have a receipt.
-- Returns for each node one of
--   {'run'}                   it is yours to compute
--   {'hit', cid, block}       its receipt
--   {'twin'}                  you are computing it already, for another node
--   {'have', cid, block, …}   the receipts it awaits
--   {'wait'}                  it is put aside until another owner has settled it; or its lease is over, and it is not yours
--   {'busy'}                  another owner computes it ('ahead' only)
--   {'late'}                  it has waited longer than its patience ('await' only)
local owner, q, lease = ARGV[3], ARGV[4], tonumber(ARGV[5])
local now = clock()

local asked, at = {}, 7
local known, keys = {}, {}
for i = 1, tonumber(ARGV[6]) do
  local count = tonumber(ARGV[at + 3])
  local tasks = {}
  for t = 1, count do
    tasks[t] = ARGV[at + 3 + t]
    keys[#keys + 1] = P .. 'receipt:' .. tasks[t]
  end
  asked[i] = {ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tasks}
  at = at + 4 + count
end
for first = 1, #keys, 1000 do  -- Lua unpacks a few thousand at most
  local entries = redis.call('MGET', unpack(keys, first, math.min(first + 999, #keys)))
  for i, entry in ipairs(entries) do known[keys[first + i - 1]] = entry end
end

local function receipt(task, reusable)
  local entry = known[P .. 'receipt:' .. task]
  if not entry or (reusable and string.sub(entry, 1, 1) ~= 'c') then return nil end
  local cid = string.sub(entry, 2)
  local data = redis.call('GET', block_key(cid))
  if data then return cid, data end
end

local function put_aside(node, task, at_most)
  stand_aside(ID, node, q, task, now + math.min(lease, at_most or lease))
  return {'wait'}
end

local function work(node, tasks, ahead)
  for _, task in ipairs(tasks) do
    local cid, block = receipt(task, true)
    if cid then return {'hit', cid, block} end
  end
  local key = P .. 'flight:' .. tasks[1]
  if redis.call('SET', key, owner, 'NX', 'PX', lease) then return {'run'} end
  if redis.call('GET', key) == owner then return {'twin'} end
  return ahead and {'busy'} or put_aside(node, tasks[1])
end

local function await(node, tasks, patience)
  local found = {'have'}
  for _, task in ipairs(tasks) do
    local cid, block = receipt(task, false)
    if not cid then
      redis.call('HSETNX', RUN .. ':since', node, now)
      local rest = patience - now + tonumber(redis.call('HGET', RUN .. ':since', node))
      if rest <= 0 then return {'late'} end
      return put_aside(node, task, rest)
    end
    found[#found + 1] = cid
    found[#found + 1] = block
  end
  return found
end

local nodes, held = {}, {}
for i, ask in ipairs(asked) do nodes[i] = ask[1] end
for first = 1, #nodes, 1000 do
  local owners = redis.call('HMGET', RUN .. ':claims', unpack(nodes, first, math.min(first + 999, #nodes)))
  for i, claimed in ipairs(owners) do held[first + i - 1] = claimed == q .. '|' .. owner end
end

local answers = {}
for i, ask in ipairs(asked) do
  local node, mode, patience, tasks = unpack(ask)
  if mode ~= 'ahead' and not held[i] then
    answers[i] = {'wait'}
  elseif mode == 'await' then
    answers[i] = await(node, tasks, patience)
  else
    answers[i] = work(node, tasks, mode == 'ahead')
  end
end
return answers
