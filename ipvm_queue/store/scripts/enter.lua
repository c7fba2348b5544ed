-- Before running: find receipts that exist, and let one owner alone compute what several want.
-- ARGV: P, id, owner, q, lease (ms), nodes; for each node: its number, mode, how many Tasks, the Tasks.
-- Mode 'work' names the addresses of one pure Task, 'ahead' too, for a node that is not released yet; a number names
-- the Tasks that must all have a receipt, for which the node waits at most so long (ms).
-- Returns for each node one of
--   'run'                     it is yours to compute
--   {'hit', cid, block}       its receipt
--   'twin'                    you are computing it already, for another node
--   {'have', cid, block, …}   the receipts it awaits
--   'wait'                    it is put aside until another owner has settled it; or its lease is over, and it is not yours
--   'busy'                    another owner computes it ('ahead' only)
--   'late'                    it has waited longer than its patience
local owner, q, lease = ARGV[3], ARGV[4], tonumber(ARGV[5])
local now = clock()

-- A thousand names at a time: Lua unpacks a few thousand at most.
local function look_up(names, read)
  local found = {}
  for first = 1, #names, 1000 do
    local last = math.min(first + 999, #names)
    local some = read(unpack(names, first, last))
    for i = 1, last - first + 1 do found[first + i - 1] = some[i] end
  end
  return found
end

-- Of each node: where its arguments begin, and where its receipts are among all that are looked for.
local begins, places, nodes, firsts, keys, at = {}, {}, {}, {}, {}, 7
for i = 1, tonumber(ARGV[6]) do
  local count = tonumber(ARGV[at + 2])
  begins[i], places[i], nodes[i], firsts[i] = at, #keys, ARGV[at], ARGV[at + 3]
  for t = at + 3, at + 2 + count do keys[#keys + 1] = P .. 'receipt:' .. ARGV[t] end
  at = at + 3 + count
end
local entries = look_up(keys, function(...) return redis.call('MGET', ...) end)
local claims = look_up(nodes, function(...) return redis.call('HMGET', RUN .. ':claims', ...) end)
local flights = look_up(firsts, function(...) return redis.call('HMGET', P .. 'flights', ...) end)

local function receipt(place, reusable)
  local entry = entries[place]
  if not entry or (reusable and string.sub(entry, 1, 1) ~= 'c') then return nil end
  local cid = string.sub(entry, 2)
  local data = redis.call('GET', block_key(cid))
  if data then return cid, data end
end

local function put_aside(node, task, at_most)
  stand_aside(ID, node, q, task, now + math.min(lease, at_most or lease))
  return 'wait'
end

local taken, flying, mine = {}, {}, now + lease .. '|' .. owner

local function work(i, place, count, ahead)
  for t = 1, count do
    local cid, block = receipt(place + t, true)
    if cid then return {'hit', cid, block} end
  end
  local task = firsts[i]
  if flying[task] then return 'twin' end
  local till, who = read_flight(flights[i])
  if till <= now then
    flying[task] = true
    taken[#taken + 1] = task
    taken[#taken + 1] = mine
    return 'run'
  end
  if who == owner then return 'twin' end
  return ahead and 'busy' or put_aside(nodes[i], task)
end

local function await(i, place, count, patience)
  local found = {'have'}
  for t = 1, count do
    local cid, block = receipt(place + t, false)
    if not cid then
      redis.call('HSETNX', RUN .. ':since', nodes[i], now)
      local rest = patience - now + tonumber(redis.call('HGET', RUN .. ':since', nodes[i]))
      if rest <= 0 then return 'late' end
      return put_aside(nodes[i], ARGV[begins[i] + 2 + t], rest)
    end
    found[#found + 1] = cid
    found[#found + 1] = block
  end
  return found
end

local answers, held = {}, q .. '|' .. owner
for i, begin in ipairs(begins) do
  local mode, count = ARGV[begin + 1], tonumber(ARGV[begin + 2])
  if mode ~= 'ahead' and claims[i] ~= held then
    answers[i] = 'wait'
  elseif mode == 'ahead' or mode == 'work' then
    answers[i] = work(i, places[i], count, mode == 'ahead')
  else
    answers[i] = await(i, places[i], count, tonumber(mode))
  end
end
for first = 1, #taken, 1000 do
  redis.call('HSET', P .. 'flights', unpack(taken, first, math.min(first + 999, #taken)))
end
return answers
