-- Pin blocks for somebody, or let go of pinned blocks. KEYS[1] is the key of what everybody has pinned.
--
--   P pin:<cid>            STRING  a pinned block's bytes, which never lapse
--   P pin:<cid>:promised   STRING  size|owner: that it was pinned, and for whom it counts; it stays when the block is lost
--   P pin:of               HASH    DID -> bytes that are pinned for them
--
-- ARGV: P, '', 'pin', owner, most bytes for them (-1: no limit), then CID and bytes of each block; all of them are
--   pinned, or none. Returns {1, CIDs of those that were not pinned}, or {0, bytes that the owner has, bytes of these}.
-- ARGV: P, '', 'unpin', CIDs. Returns {1, CIDs of those that were pinned}.
local function let_go(cid)
  local size, owner = string.match(redis.call('GET', P .. 'pin:' .. cid .. ':promised') or '', '^(%d+)|(.*)$')
  if size and redis.call('HINCRBY', KEYS[1], owner, -tonumber(size)) <= 0 then redis.call('HDEL', KEYS[1], owner) end
  return redis.call('UNLINK', P .. 'pin:' .. cid, P .. 'pin:' .. cid .. ':promised') > 0
end
local found = {}
if ARGV[3] == 'unpin' then
  for i = 4, #ARGV do
    if let_go(ARGV[i]) then found[#found + 1] = ARGV[i] end
  end
  return {1, found}
end
local owner, most, size, at = ARGV[4], tonumber(ARGV[5]), 0, {}
for i = 6, #ARGV, 2 do
  if redis.call('EXISTS', P .. 'pin:' .. ARGV[i]) == 0 then
    found[#found + 1], at[#at + 1], size = ARGV[i], i + 1, size + #ARGV[i + 1]
  end
end
local used = tonumber(redis.call('HGET', KEYS[1], owner) or '0')
if most >= 0 and size > 0 and used + size > most then return {0, used, size} end
for n, cid in ipairs(found) do
  let_go(cid)  -- one that was lost counts no more for whoever had it
  redis.call('SET', P .. 'pin:' .. cid, ARGV[at[n]])
  redis.call('SET', P .. 'pin:' .. cid .. ':promised', #ARGV[at[n]] .. '|' .. owner)
end
if size > 0 then redis.call('HINCRBY', KEYS[1], owner, size) end
return {1, found}
