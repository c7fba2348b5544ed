-- A node is about to have a further run: note which, once for each worker's key. KEYS[1] is the run's key.
-- ARGV: P, id, node, q, owner, DID, note (the further run's id, 16 digits, then what it is asked for with), how many a
--   run may have.
-- Returns the note that stands; '' where the run has as many as it may; nothing where the node is not leased to this
-- owner any more.
if redis.call('HGET', RUN, 'state') ~= 'running' then return nil end
if redis.call('HGET', RUN .. ':claims', ARGV[3]) ~= ARGV[4] .. '|' .. ARGV[5] then return nil end
local notes, field = RUN .. ':further', ARGV[3] .. '|' .. ARGV[6]
local note = redis.call('HGET', notes, field)
if note then return note end
if redis.call('HLEN', notes) >= tonumber(ARGV[8]) then return '' end
redis.call('HSET', notes, field, ARGV[7])
return ARGV[7]
