-- Takes in what a gateway has spent of its leases and grants more.
-- ARGV: now, gateway, lease (ms), counters; for each: kind, a, b, c, shadow, sequence, held, want, need, extra.
--   held: what the gateway has unspent; what it had and has not any more was spent. Below 0 nothing was spent, and
--   -1 - held is used only when the ledger knows of none. extra: spent without a lease.
--   want: what it would like; need: the least that is of use to it.
-- Reply for each: granted (-1: an older call, ignored), retry (us), left, reset (us), valid (us), mark, overage,
--   whether others hold some.

local gateway, lease_ms = ARGV[2], tonumber(ARGV[3])
local at = 5
local reply = {}

for i = 1, tonumber(ARGV[4]) do
  local c = counter(KEYS[i], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  local seq, held = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local want, need, extra = tonumber(ARGV[at + 7]), tonumber(ARGV[at + 8]), tonumber(ARGV[at + 9])
  at = at + 10
  local before, last_seq, existed = lease_of(c, gateway)
  local n = #reply
  if existed and seq <= last_seq then
    for k = 1, 8 do reply[n + k] = 0 end
    reply[n + 1] = -1
  else
    if held < 0 then held = existed and before or -1 - held end
    if before > held then consume(c, before - held) end
    if extra ~= 0 then consume(c, extra) end
    local expiry = now + lease_ms * 1000
    if c.kind == 'q' then expiry = min(expiry, period(c.b).stop) end
    local others = c.o - before
    c.o = others + held
    local available = left(c)
    local granted, retry, overage = 0, 0, 0
    if want > 0 then
      if available >= need then
        -- A share of what is left, so that it shrinks to one for everybody as the ledger runs dry.
        local share = floor(available / (2 * (c.h + (existed and 0 or 1))))
        granted = min(want, available, max(need, share))
      elseif c.kind == 'q' and c.c > 0 then
        granted = want
        overage = 1
      else
        retry = retry_us(c, need)
      end
    end
    c.o = others + before
    set_lease(c, gateway, before, existed, held + granted, seq, expiry)
    reply[n + 1] = granted
    reply[n + 2] = retry
    reply[n + 3] = max(0, left(c))
    reply[n + 4] = reset_us(c)
    reply[n + 5] = expiry - now
    reply[n + 6] = mark(c)
    reply[n + 7] = overage
    reply[n + 8] = others > 0 and 1 or 0
  end
end

write_back()
return reply
