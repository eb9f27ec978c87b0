-- Gives back what a gateway has not spent.
-- ARGV: now, gateway, counters; for each: kind, a, b, c, shadow, sequence, unspent, keep, extra.
--   With sequence 0, unspent slots of a concurrency counter are given back of those taken one by one.
--   keep: slots of a concurrency counter that are still in use. extra: spent without a lease.
-- Reply for each: left.

local gateway = ARGV[2]
local at = 4
local reply = {}

for i = 1, tonumber(ARGV[3]) do
  local c = counter(KEYS[i], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  local seq, unspent = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local keep, extra = tonumber(ARGV[at + 7]), tonumber(ARGV[at + 8])
  at = at + 9
  local held, last_seq, existed = lease_of(c, gateway)
  if existed then
    if seq == 0 then
      local expiry = select(3, parse_lease(redis.call('HGET', c.key, 'L' .. gateway)))
      set_lease(c, gateway, held, existed, max(0, held - unspent), last_seq, expiry)
    elseif seq > last_seq then
      if held > unspent + keep then consume(c, held - unspent - keep) end
      local expiry = select(3, parse_lease(redis.call('HGET', c.key, 'L' .. gateway)))
      set_lease(c, gateway, held, existed, min(held, keep), seq, expiry)
    end
  end
  if extra ~= 0 then consume(c, extra) end
  reply[i] = max(0, left(c))
end

write_back()
return reply
