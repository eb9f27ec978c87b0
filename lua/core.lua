-- The ledger: what every script is made of. It is put before the text of each script.
-- All arithmetic is on integers below 2^53, written so that the in-process engine computes the same numbers.

local micro = 1000000
local day_us = 86400000000
local steps = 100

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min

local function text(number)
  return string.format('%.0f', number)
end

-- Index and end (microseconds) of the UTC day or month that holds now.
local periods = {}
local function period(kind)
  local known = periods[kind]
  if known then return known end
  local day = floor(now / day_us)
  if kind == 'd' then
    known = { index = day, start = day * day_us, stop = (day + 1) * day_us }
  else
    -- Days to civil date, in eras of 400 years that begin in March.
    local z = day + 719468
    local era = floor(z / 146097)
    local of_era = z - era * 146097
    local year_of_era = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365)
    local of_year = of_era - (365 * year_of_era + floor(year_of_era / 4) - floor(year_of_era / 100))
    local shifted = floor((5 * of_year + 2) / 153)
    local month = shifted < 10 and shifted + 3 or shifted - 9
    local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
    local function first_day(y, m)
      if m <= 2 then y = y - 1 end
      local e = floor(y / 400)
      local yoe = y - e * 400
      local doy = floor((153 * (m > 2 and m - 3 or m + 9) + 2) / 5)
      return e * 146097 + yoe * 365 + floor(yoe / 4) - floor(yoe / 100) + doy - 719468
    end
    local stop = month == 12 and first_day(year + 1, 1) or first_day(year, month + 1)
    known = { index = year * 12 + month - 1, start = first_day(year, month) * day_us, stop = stop * day_us }
  end
  periods[kind] = known
  return known
end

local function step_us(c) return c.b * 10 end

local function step_count(c, step)
  local count = c.counts[step]
  if not count then
    count = tonumber(redis.call('HGET', c.key, text(step))) or 0
    c.counts[step] = count
  end
  return count
end

local function count_in_step(c, cost)
  local before = step_count(c, c.step)
  local after = max(0, before + cost)
  c.counts[c.step] = after
  c.written[c.step] = true
  c.n = c.n + after - before
  c.dirty = true
end

-- Counts what has been spent, without refusing.
local function consume(c, cost)
  if cost == 0 then return end
  if c.kind == 'b' then
    c.d = max(0, c.d + cost * micro)
    c.t = max(c.t, now)
  elseif c.kind == 'w' then
    count_in_step(c, cost)
  elseif c.kind == 'q' then
    c.u = max(0, c.u + cost)
  end
  c.dirty = true
end

local function parse_lease(value)
  local held, seq, expiry = string.match(value, '^(%d+):(%d+):(%d+)$')
  return tonumber(held), tonumber(seq), tonumber(expiry)
end

-- What a gateway that has gone held counts as spent, since it may have been.
local function expire_leases(c)
  local fields = redis.call('HGETALL', c.key)
  c.x = 0
  c.o = 0
  c.h = 0
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 1) == 'L' then
      local held, _, expiry = parse_lease(fields[i + 1])
      if expiry <= now then
        redis.call('HDEL', c.key, fields[i])
        if c.kind ~= 'q' or expiry > period(c.b).start then consume(c, held) end
      else
        c.o = c.o + held
        c.h = c.h + 1
        if c.x == 0 or expiry < c.x then c.x = expiry end
      end
    end
  end
  c.dirty = true
end

-- A window moves on: what has left it is forgotten; a new length keeps the total as if it had all happened now.
local function advance(c)
  local step = floor(now / step_us(c))
  if c.w ~= c.b then
    local total = c.n
    local stale = redis.call('HGETALL', c.key)
    for i = 1, #stale, 2 do
      if string.match(stale[i], '^%d+$') then redis.call('HDEL', c.key, stale[i]) end
    end
    c.w = c.b
    c.step = step
    c.n = 0
    c.dirty = true
    if total > 0 then count_in_step(c, total) end
    return
  end
  if step <= c.step then return end
  local from, to = c.step - steps, step - steps - 1
  if step - c.step > steps then
    c.n = 0
    to = c.step
  end
  local gone = {}
  for old = from, to do gone[#gone + 1] = text(old) end
  if c.n > 0 then
    local counts = redis.call('HMGET', c.key, unpack(gone))
    for i = 1, #counts do c.n = c.n - (tonumber(counts[i]) or 0) end
  end
  redis.call('HDEL', c.key, unpack(gone))
  c.step = step
  c.dirty = true
end

local counters = {}
local order = {}

-- The counter of a key, as of now. a, b, c are its parameters:
--   b  capacity, refill, interval (ms)     w  limit, window (ms), -
--   q  limit, 'd' or 'm', overage 0/1/2    c  limit, -, -
local function counter(key, kind, a, b, third)
  local c = counters[key]
  if c then
    c.a = tonumber(a)
    c.b = tonumber(b) or b
    c.c = tonumber(third)
    return c
  end
  c = { key = key, kind = kind, a = tonumber(a), b = tonumber(b) or b, c = tonumber(third), dirty = false }
  local v
  if kind == 'b' then
    v = redis.call('HMGET', key, 'o', 'x', 'h', 'd', 't')
    c.d = tonumber(v[4]) or 0
    c.t = tonumber(v[5]) or 0
    if c.d > 0 and now > c.t then
      local refilled = floor((now - c.t) * c.b * 1000 / c.c)
      c.d = refilled >= c.d and 0 or c.d - refilled
      c.t = now
    end
  elseif kind == 'w' then
    v = redis.call('HMGET', key, 'o', 'x', 'h', 'n', 's', 'w')
    c.n = tonumber(v[4]) or 0
    c.step = tonumber(v[5]) or floor(now / step_us(c))
    c.w = tonumber(v[6]) or c.b
    c.counts = {}
    c.written = {}
    advance(c)
  elseif kind == 'q' then
    v = redis.call('HMGET', key, 'o', 'x', 'h', 'u', 'p', 'm')
    local current = tonumber(v[5]) == period(c.b).index
    c.u = current and tonumber(v[4]) or 0
    c.m = current and tonumber(v[6]) or 0
  else
    v = redis.call('HMGET', key, 'o', 'x', 'h')
  end
  c.o = tonumber(v[1]) or 0
  c.x = tonumber(v[2]) or 0
  c.h = tonumber(v[3]) or 0
  counters[key] = c
  order[#order + 1] = c
  if c.x > 0 and c.x <= now then expire_leases(c) end
  return c
end

local function refill_us(c, debt)
  if debt <= 0 then return 0 end
  return ceil(debt * c.c / (c.b * 1000))
end

-- What is left, without what gateways hold.
local function left(c)
  if c.kind == 'b' then return floor((c.a * micro - c.d) / micro) - c.o end
  if c.kind == 'w' then return c.a - c.n - c.o end
  if c.kind == 'q' then return c.a - c.u - c.o end
  return c.a - c.o
end

local function fits(c, cost)
  if c.kind == 'c' then return c.o + 1 <= c.a end
  if cost == 0 then return true end
  if c.kind == 'b' then return c.d + (c.o + cost) * micro <= c.a * micro end
  if c.kind == 'w' then return c.n + c.o + cost <= c.a end
  return c.u + c.o + cost <= c.a
end

-- Microseconds until cost fits, if nothing else happens.
local function retry_us(c, cost)
  if c.kind == 'b' then
    local debt = c.d + c.o * micro
    local room = (c.a - cost) * micro
    return refill_us(c, room < 0 and debt or debt - room)
  elseif c.kind == 'w' then
    local names = {}
    for old = c.step - steps, c.step - 1 do names[#names + 1] = text(old) end
    local counts = redis.call('HMGET', c.key, unpack(names))
    local total = c.n + c.o
    local old = c.step - steps
    while old < c.step and total + cost > c.a do
      total = total - (c.counts[old] or tonumber(counts[old - c.step + steps + 1]) or 0)
      old = old + 1
    end
    if total + cost > c.a then old = c.step + 1 end
    return (old + steps) * step_us(c) - now
  elseif c.kind == 'q' then
    return period(c.b).stop - now
  end
  return 1000000
end

local function reset_us(c)
  if c.kind == 'b' then return refill_us(c, c.d + c.o * micro) end
  if c.kind == 'q' then return period(c.b).stop - now end
  if c.kind == 'w' and c.n + c.o > 0 then return (c.step + steps + 1) * step_us(c) - now end
  return 0
end

-- The highest threshold (per cent of a quota) that this call is the first to reach in the period, or 0.
local function mark(c)
  if c.kind ~= 'q' then return 0 end
  local percent = floor(c.u * 100 / c.a)
  local reached = percent >= 100 and 100 or percent >= 90 and 90 or percent >= 80 and 80 or 0
  if reached <= c.m then return 0 end
  c.m = reached
  c.dirty = true
  return reached
end

local function lease_of(c, gateway)
  local value = redis.call('HGET', c.key, 'L' .. gateway)
  if not value then return 0, 0, false end
  local held, seq = parse_lease(value)
  return held, seq, true
end

-- Sets what a gateway holds; 0 removes it unless keep is given (for its number in the sequence).
local function set_lease(c, gateway, before, existed, held, seq, expiry)
  c.o = c.o - before + held
  local field = 'L' .. gateway
  if held == 0 then
    if existed then
      redis.call('HDEL', c.key, field)
      c.h = max(0, c.h - 1)
    end
  else
    redis.call('HSET', c.key, field, text(held) .. ':' .. text(seq) .. ':' .. text(expiry))
    if not existed then c.h = c.h + 1 end
    if c.x == 0 or expiry < c.x then c.x = expiry end
    if not c.until_us or expiry > c.until_us then c.until_us = expiry end
  end
  c.dirty = true
end

-- Writes what has changed. Every key expires once it says nothing that its absence would not say.
local function write_back()
  for _, c in ipairs(order) do
    if c.dirty then
      local fields = { 'o', text(c.o), 'x', text(c.x), 'h', text(c.h) }
      local idle = now
      if c.kind == 'b' then
        fields[7], fields[8], fields[9], fields[10] = 'd', text(c.d), 't', text(max(c.t, now))
        idle = now + refill_us(c, c.d + c.o * micro)
      elseif c.kind == 'w' then
        fields[7], fields[8], fields[9], fields[10] = 'n', text(c.n), 's', text(c.step)
        fields[11], fields[12] = 'w', text(c.w)
        for step in pairs(c.written) do
          fields[#fields + 1] = text(step)
          fields[#fields + 1] = text(c.counts[step])
        end
        idle = (c.step + 2 * steps + 2) * step_us(c)
      elseif c.kind == 'q' then
        local p = period(c.b)
        fields[7], fields[8], fields[9], fields[10] = 'u', text(c.u), 'p', text(p.index)
        fields[11], fields[12] = 'm', text(c.m)
        idle = p.stop
      end
      -- A lease outlives a bucket that is full; what it held has to be counted when it expires.
      if c.o > 0 then
        local held_until = max(c.until_us or 0, c.x)
        idle = max(idle, held_until) + (c.kind == 'b' and refill_us(c, c.o * micro) or c.kind == 'w' and c.b * 1010 or 0)
      end
      redis.call('HSET', c.key, unpack(fields))
      redis.call('PEXPIRE', c.key, text(ceil((idle - now) / 1000) + 60000))
    end
  end
end
