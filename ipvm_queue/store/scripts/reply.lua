-- Answer requests, and forget them.
-- KEYS: the list of what the gate has taken. ARGV: P, for how long answers stay (s); for each request: its id, 1 if
-- there is an answer to it (0: it is no request), the answer.
for i = 3, #ARGV, 3 do
  local id = ARGV[i]
  if ARGV[i + 1] == '1' then
    local key = P .. 'reply:' .. id
    redis.call('DEL', key)
    redis.call('RPUSH', key, ARGV[i + 2])
    redis.call('EXPIRE', key, ARGV[2])
  end
  redis.call('DEL', P .. 'inbox:' .. id)
  redis.call('LREM', KEYS[1], 0, id)
end
