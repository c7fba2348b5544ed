-- What scripts share that have to do with requests at the gate.

-- Remember invocations as those of a request. At `at` in ARGV stand its id, how many they are, and of each the key of what
-- was signed and until when that matters (Unix s).
-- Returns 0, or the place of the first that another request has brought, or -1 where the request has been taken back:
-- none is remembered then.
local function remember(at)
  local id, mine, repeated = ARGV[at], {}, 0
  if redis.call('EXISTS', P .. 'inbox:' .. id) == 0 then return -1 end
  for place = 1, tonumber(ARGV[at + 1]) do
    local key = ARGV[at + 2 * place]
    local owner = redis.call('SET', key, id, 'NX', 'GET', 'EXAT', ARGV[at + 1 + 2 * place])
    if not owner or owner == id then
      mine[#mine + 1] = key
    elseif repeated == 0 then
      repeated = place
    end
  end
  if repeated > 0 and #mine > 0 then redis.call('DEL', unpack(mine)) end
  return repeated
end

-- Forget a request, which a gate has in the list `taken`.
local function forget(taken, id)
  redis.call('DEL', P .. 'inbox:' .. id)
  redis.call('LREM', taken, 0, id)
end

-- Answer a request, and forget it; the answer stays for so many seconds.
local function answer(taken, id, text, seconds)
  local key = P .. 'reply:' .. id
  redis.call('DEL', key)
  redis.call('RPUSH', key, text)
  redis.call('EXPIRE', key, seconds)
  forget(taken, id)
end
