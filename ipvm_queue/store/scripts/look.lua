-- Look at a request before any of it is read: how large its parts are; and the parts too, where they are few and small.
-- KEYS: its HASH. ARGV: P, id, most parts, most bytes that come along.
-- Returns {how many delegations are revoked, how many parts}, and unless they are more than the most: a list of names
-- and sizes in turn, and a list of names and parts in turn (empty where they have too many bytes).
local count = redis.call('HLEN', RUN)
local revoked = redis.call('HLEN', P .. 'revoked')
if count > tonumber(ARGV[3]) then return {revoked, count} end
local sizes, bytes = {}, 0
for _, name in ipairs(redis.call('HKEYS', RUN)) do
  local size = redis.call('HSTRLEN', RUN, name)
  bytes = bytes + size
  sizes[#sizes + 1] = name
  sizes[#sizes + 1] = size
end
return {revoked, count, sizes, bytes > tonumber(ARGV[4]) and {} or redis.call('HGETALL', RUN)}
