-- Raise a mark: the highest number that this queue has seen of something. KEYS[1] is the mark's key.
--
--   P mark:<what>          STRING  the number, in 20 digits (64 bits are more than a Lua number holds)
--
-- ARGV: P, '', number (20 digits), until (ms): so long it may matter. It stands for the longest time that was ever said.
-- Returns the highest number.
local highest = redis.call('GET', KEYS[1])
local rest = highest and redis.call('PTTL', KEYS[1]) or 0
if not highest or ARGV[3] > highest then highest = ARGV[3] end
redis.call('SET', KEYS[1], highest, 'PX', math.max(1, rest, tonumber(ARGV[4]) - clock()))
return highest
