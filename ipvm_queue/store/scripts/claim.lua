-- Remember invocations as those of requests, and look Tasks up in the memo table.
-- ARGV: P, '', requests; for each request: its id, count, for each of its invocations the key of what was signed and until
-- when that matters (Unix s); the keys of Tasks in the memo table.
-- Returns for each request the place of the first of its invocations that another has brought, before it or in front of
-- it here, 0 where there is none, and -1 where the request has been taken back; then the memo table's entry for each
-- Task. Of a request that repeats one, or has been taken back, none is remembered.
local answer, forgotten, at = {}, {}, 4
for i = 1, tonumber(ARGV[3]) do
  local id, count, mine = ARGV[at], tonumber(ARGV[at + 1]), {}
  answer[i] = redis.call('EXISTS', P .. 'inbox:' .. id) - 1
  for place = 1, answer[i] == 0 and count or 0 do
    local key = ARGV[at + 2 * place]
    local owner = redis.call('SET', key, id, 'NX', 'GET', 'EXAT', ARGV[at + 1 + 2 * place])
    if not owner or owner == id then
      mine[#mine + 1] = key
    elseif answer[i] == 0 then
      answer[i] = place
    end
  end
  if answer[i] > 0 then
    for _, key in ipairs(mine) do forgotten[#forgotten + 1] = key end
  end
  at = at + 2 + 2 * count
end
for _, key in ipairs(forgotten) do redis.call('DEL', key) end
if at <= #ARGV then
  for _, entry in ipairs(redis.call('MGET', unpack(ARGV, at))) do answer[#answer + 1] = entry end
end
return answer
