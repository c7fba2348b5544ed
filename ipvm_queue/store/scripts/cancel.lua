-- End a run before its time. ARGV: P, id, reason. Returns its state before.
local state = redis.call('HGET', RUN, 'state')
if state == 'running' then
  redis.call('HSET', RUN, 'reason', ARGV[3])
  finish(RUN, 'cancelled', 'cancelled')
end
return state
