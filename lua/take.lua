-- Decides requests one after the other, each all or nothing.
-- ARGV: now (0: the server's), gateway, lease (ms), requests; for each: cost, limits; for each: kind, a, b, c, shadow.
-- Reply: for each request admitted, retry (us), overage 0/1/2, shadowed; for each limit left, reset (us), violated, mark.

local gateway, lease_ms = ARGV[2], tonumber(ARGV[3])
local at = 5
local key = 1
local reply = {}

for _ = 1, tonumber(ARGV[4]) do
  local cost, count = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  at = at + 2
  local list, spends, violated = {}, {}, {}
  local admitted, retry, overage, shadowed = 1, 0, 0, 0
  for i = 1, count do
    local c = counter(KEYS[key], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
    local shadow = ARGV[at + 4] == '1'
    key = key + 1
    at = at + 5
    list[i] = c
    spends[i] = fits(c, cost)
    violated[i] = spends[i] and 0 or 1
    if not spends[i] then
      if shadow then
        shadowed = 1
      elseif c.kind == 'q' and c.c > 0 then
        spends[i] = true
        overage = max(overage, c.c)
      else
        admitted = 0
        retry = max(retry, retry_us(c, cost))
      end
    end
  end
  local head = #reply
  for i = 1, 4 do reply[head + i] = 0 end
  for i = 1, count do
    local c = list[i]
    if admitted == 1 and spends[i] then
      if c.kind == 'c' then
        local held, seq, existed = lease_of(c, gateway)
        set_lease(c, gateway, held, existed, held + 1, seq, now + lease_ms * 1000)
      else
        consume(c, cost)
      end
    end
    local n = #reply
    reply[n + 1] = max(0, left(c))
    reply[n + 2] = reset_us(c)
    reply[n + 3] = violated[i]
    reply[n + 4] = mark(c)
  end
  reply[head + 1] = admitted
  reply[head + 2] = admitted == 1 and 0 or retry
  reply[head + 3] = overage
  reply[head + 4] = shadowed
end

write_back()
return reply
