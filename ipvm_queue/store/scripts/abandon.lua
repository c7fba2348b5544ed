-- An owner has died: what it held in this run is ready again at once.
-- ARGV: P, id, owner, points against each node, 1 if a guest may have killed it. Returns how many nodes came back.
local back = {}
for _, node in ipairs(redis.call('ZRANGE', RUN .. ':leases', 0, -1)) do
  local held = redis.call('HGET', RUN .. ':claims', node)
  if held and string.sub(held, 3) == ARGV[3] then back[#back + 1] = node end
end
local points, guilty = tonumber(ARGV[4]), #back
for _, field in ipairs(redis.call('HKEYS', RUN .. ':lapsed')) do  -- the sweeper was faster: it has counted one point
  local node, owner = string.match(field, '^(%d+)|(.*)$')
  if owner == ARGV[3] then
    redis.call('HDEL', RUN .. ':lapsed', field)
    if points > 1 then redis.call('HINCRBY', RUN .. ':deaths', node, points - 1) end
    guilty = guilty + 1
  end
end
if guilty > 0 and ARGV[5] == '1' then redis.call('HINCRBY', RUN, 'crashes', 1) end
put_back(RUN, ID, back, points)
return #back
