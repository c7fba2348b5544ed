-- A receipt has come from another queue, verified: keep it and wake who waits for its Tasks. What is known stays.
-- ARGV: P, '', receipt's key, its binary CID, CIDs of the token that says it for its service and of the container of
--   delegations that it came with, receipt lifetime (ms, 0 = for ever), the Tasks that it answers. The blocks are there
--   already.
-- Returns for how many of them it was the first.
local ttl, first = tonumber(ARGV[6]), 0
local entry = 'n' .. ARGV[4]
local options = ttl > 0 and {'NX', 'PX', ttl} or {'NX'}
redis.call('SET', P .. 'proxy:' .. ARGV[3], ARGV[5], unpack(options))
for i = 7, #ARGV do
  if redis.call('SET', P .. 'receipt:' .. ARGV[i], entry, unpack(options)) then first = first + 1 end
  wake(ARGV[i])
end
return first
