-- Answer requests, and forget them.
-- KEYS: the list of what the gate has taken. ARGV: P, for how long answers stay (s); for each request: its id, 1 if
-- there is an answer to it (0: it is no request), the answer.
for i = 3, #ARGV, 3 do
  if ARGV[i + 1] == '1' then
    answer(KEYS[1], ARGV[i], ARGV[i + 2], ARGV[2])
  else
    forget(KEYS[1], ARGV[i])
  end
end
