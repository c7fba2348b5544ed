-- A node is about to have a further run: note which, once for each worker's key. KEYS[1] is the run's key.
-- ARGV: P, id, node, q, owner, DID, note (the further run's id, 16 digits, then what it is asked for with).
-- Returns the note that stands; nothing where the node is not leased to this owner any more.
if redis.call('HGET', RUN, 'state') ~= 'running' then return nil end
if redis.call('HGET', RUN .. ':claims', ARGV[3]) ~= ARGV[4] .. '|' .. ARGV[5] then return nil end
redis.call('HSETNX', RUN .. ':further', ARGV[3] .. '|' .. ARGV[6], ARGV[7])
return redis.call('HGET', RUN .. ':further', ARGV[3] .. '|' .. ARGV[6])
