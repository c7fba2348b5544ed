-- Look at requests before any of them is read: how large their parts are; and the parts too, where they are few and
-- small.
-- KEYS: the list of what the gate has taken, the inbox. ARGV: P, how many to look at, most parts and most bytes of one
-- that come along, ids of requests that the gate has. Where more are to be looked at, what it took last comes first,
-- and then what it takes now.
-- Returns for each {id, how many delegations are revoked, how many parts}, and unless these are more than the most: a
-- list of names and sizes in turn, and a list of names and parts in turn (empty where they have too many bytes).
local taken, inbox, want = KEYS[1], KEYS[2], tonumber(ARGV[2])
local most_parts, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local ids = {unpack(ARGV, 5)}
if #ids < want then ids[#ids + 1] = redis.call('LINDEX', taken, 0) or nil end
while #ids < want do
  local id = redis.call('LMOVE', inbox, taken, 'RIGHT', 'LEFT')
  if not id then break end
  ids[#ids + 1] = id
end

local function look(id, revoked)
  local key = P .. 'inbox:' .. id
  local count = redis.call('HLEN', key)
  if count > most_parts then return {id, revoked, count} end
  local sizes, bytes = {}, 0
  for _, name in ipairs(redis.call('HKEYS', key)) do
    local size = redis.call('HSTRLEN', key, name)
    bytes = bytes + size
    sizes[#sizes + 1] = name
    sizes[#sizes + 1] = size
  end
  return {id, revoked, count, sizes, bytes > most_bytes and {} or redis.call('HGETALL', key)}
end

local revoked, found = redis.call('HLEN', P .. 'revoked'), {}
for _, id in ipairs(ids) do found[#found + 1] = look(id, revoked) end
return found
