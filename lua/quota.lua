-- Corrects what has been spent, when a cost is known only afterwards; never refuses. A difference of 0 only reads.
-- ARGV: now, gateway, counters; for each: kind, a, b, c, shadow, difference.
-- Reply for each: left, reset (us), spent, mark.

local at = 4
local reply = {}

for i = 1, tonumber(ARGV[3]) do
  local c = counter(KEYS[i], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  if c.kind ~= 'c' then consume(c, tonumber(ARGV[at + 5])) end
  at = at + 6
  local n = #reply
  reply[n + 1] = max(0, left(c))
  reply[n + 2] = reset_us(c)
  reply[n + 3] = c.kind == 'b' and ceil(c.d / micro) or c.kind == 'w' and c.n or c.kind == 'q' and c.u or c.o
  reply[n + 4] = mark(c)
end

write_back()
return reply
