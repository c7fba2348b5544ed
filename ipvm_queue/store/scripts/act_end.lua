-- Say how an act came out. KEYS[1] is the act's key. Only the newest fence may, and what is done stays done; who comes
-- late with the right fence resolves a doubt.
-- ARGV: P, id of the run, act, fence, 'done'|'free'|'doubt', who ('holder', or 'judge' for whoever looks at a doubt from
--   outside), why; for 'done': receipt's key, receipt's CID, envelope, receipt lifetime (ms, 0 = for ever), count, Tasks.
-- Returns {1}, {'done', cid, envelope} where it is done already, or {0} for a fence or a state that does not allow it.
local ACT, act, how, who = KEYS[1], ARGV[3], ARGV[5], ARGV[6]
local state, fence, lock = unpack(redis.call('HMGET', ACT, 'state', 'fence', 'lock'))
if state == 'done' then return {'done', unpack(redis.call('HMGET', ACT, 'receipt', 'envelope'))} end
local allowed = {
  holder = {
    done = {intended = true, doubt = true, free = true},
    free = {claimed = true, intended = true, doubt = true},
    doubt = {intended = true, doubt = true},
  },
  judge = {done = {doubt = true}, free = {doubt = true}, doubt = {}},
}
if fence ~= ARGV[4] or not allowed[who][how][state] then return {0} end
redis.call('HSET', ACT, 'state', how, 'why', ARGV[7])
if how == 'free' and who == 'judge' then redis.call('HSET', ACT, 'judged', 1) end
if how == 'doubt' then
  redis.call('ZADD', P .. 'doubts', clock(), act)
  redis.call('SADD', ACT .. ':runs', ID)
else
  redis.call('ZREM', P .. 'doubts', act)
end
local ttl = tonumber(ARGV[11] or '0')
local function save(key, value)
  redis.call('SET', key, value)
  if ttl > 0 then redis.call('PEXPIRE', key, ttl) end
end
if how == 'done' then
  redis.call('HSET', ACT, 'receipt', ARGV[9], 'envelope', ARGV[10])
  save(P .. 'block:' .. ARGV[8], ARGV[10])
  for i = 13, 12 + tonumber(ARGV[12]) do
    save(P .. 'receipt:' .. ARGV[i], 'c' .. ARGV[9])
    wake(ARGV[i])
  end
end
if lock ~= '' and redis.call('GET', P .. 'lock:' .. lock) == act .. '|' .. fence then
  redis.call('DEL', P .. 'lock:' .. lock)
end
if lock ~= '' then wake('lock:' .. lock) end
wake(act)
return {1}
