-- Look at requests before any of them is read: how large their parts are; and the parts too, where they are few and
-- small. What is no id of a request (32 lower-case hex digits) is dropped as it stands.
-- KEYS: the list of what the gate has taken, the inbox. ARGV: P, how many to look at, most parts and most bytes of one
-- that come along, ids of requests that the gate has. Where more are to be looked at, what it took last comes first,
-- and then what it takes now.
-- Returns for each {id, the version of what is revoked, how many parts}, and unless these are more than the most: a
-- list of names and sizes in turn, and a list of names and parts in turn (empty where they have too many bytes).
local taken, inbox, more = KEYS[1], KEYS[2], tonumber(ARGV[2]) - (#ARGV - 4)
local most_parts, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local ids = {}

local function is_request(id) return #id == 32 and not string.find(id, '[^0-9a-f]') end

local function has(id)
  if is_request(id) then
    ids[#ids + 1] = id
  else
    redis.call('LREM', taken, -1, id)  -- they come oldest first, and the oldest are at the end
  end
end

for i = 5, #ARGV do has(ARGV[i]) end
local newest = more > 0 and redis.call('LINDEX', taken, 0)
if newest then has(newest) end
for _ = newest and 2 or 1, more do
  local id = redis.call('RPOP', inbox)
  if not id then break end
  if is_request(id) then
    redis.call('LPUSH', taken, id)
    ids[#ids + 1] = id
  end
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

local revoked, found = revocations(), {}
for _, id in ipairs(ids) do found[#found + 1] = look(id, revoked) end
return found
