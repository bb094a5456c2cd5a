-- One move on one counter: see grant.Call and grant.Reply for what the numbers mean.
--
-- A counter is a hash: gen, its generation; total, the units granted to all holders;
-- h:HOLDER, "granted seq time" of each. Of a bucket, level is what it holds, and rest
-- what it gained since of a unit, in unit microseconds. After the store has lost its
-- data, known is what holders knew to be granted to all, and fresh what was granted since.
local key, op, sort, holder = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local arg = {}
for i = 4, #ARGV do arg[i] = tonumber(ARGV[i]) end
local seq, gen, base, claim, target, least, known = arg[4], arg[5], arg[6], arg[7], arg[8], arg[9], arg[10]
local amount, burst, every, keep, dead = arg[11], arg[12], arg[13], arg[14], arg[15]

local function text(n) return string.format('%.0f', n) end

local function parse(value)
  if not value then return nil, 0, 0 end
  local granted, last, at = string.match(value, '^(%-?%d+) (%d+) (%d+)$')
  return tonumber(granted or 0), tonumber(last or 0), tonumber(at or 0)
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = redis.pcall('HMGET', key, 'gen', 'total', 'known', 'fresh', 'level', 'rest', 'at', 'burst')
if stored.err then return stored end -- the key is no hash
for i = 1, 8 do
  if stored[i] and not tonumber(stored[i]) then return redis.error_reply('WRONGTYPE the hash has other fields') end
end
local known_gen = stored[1]
local at_gen = tonumber(stored[1] or 0)

if op == 'reset' or known_gen and gen > at_gen then
  -- Another generation: by an operator, or one of which a holder knows and the store,
  -- which has lost its data, does not.
  redis.call('DEL', key)
  stored = {}
  at_gen = math.max(at_gen, gen)
  if op == 'reset' then at_gen = at_gen + 1 end
elseif not known_gen then
  at_gen = gen
end

local total = tonumber(stored[2] or 0)
local lost, fresh = tonumber(stored[3] or nil), tonumber(stored[4] or 0)
local level, rest = tonumber(stored[5] or burst), tonumber(stored[6] or 0)
local at = tonumber(stored[7] or now)

if sort == 'bucket' then
  if level > burst and burst < tonumber(stored[8] or 0) then level, rest = burst, 0 end
  if level < burst and now > at then
    local gained = (now - at) * amount + rest
    local units = math.floor(gained / every)
    level, rest = level + units, math.min(math.max(gained - units * every, 0), every - 1)
    if level >= burst then level, rest = burst, 0 end
  end
  at = math.max(at, now)
elseif sort == 'slots' then
  total = 0
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'h:' then
      local g, _, heard = parse(all[i + 1])
      if now - heard > dead and all[i] ~= 'h:' .. holder then
        redis.call('HDEL', key, all[i])
      else
        total = total + g
      end
    end
  end
end

local function used()
  if sort == 'bucket' then return level end
  if lost then return math.max(total, lost + fresh) end
  return total
end

-- grant changes what is granted to the holder, and so what is left for others.
local granted, last = parse(redis.call('HGET', key, 'h:' .. holder))
local function grant(n)
  local more = n - (granted or 0)
  granted = n
  total = total + more
  if lost then fresh = fresh + more end
  if sort == 'bucket' then
    level = level - more
    if more < 0 then level = math.min(level, math.max(burst, level + more)) end
  end
end

if op == 'reset' then
  granted = nil
elseif op == 'credit' then
  if sort == 'bucket' then level = level + target else
    total = total - target
    if lost then fresh = fresh - target end
  end
elseif gen < at_gen then
  return {0, used(), at_gen}
elseif granted and seq <= last then
  return {granted, used(), at_gen}
else
  if not granted then
    -- A holder of whom nothing is known: a new one, or one of before the data was lost.
    granted = 0
    if base > 0 then
      granted = base
      if sort == 'bucket' then level = math.min(level, known) else total = total + base end
      if sort == 'window' then lost = math.max(lost or 0, known - (claim - base)) end
    end
  end
  if claim > granted then grant(claim) end
  if op == 'lower' then
    if target < granted then grant(target) end
  else
    local room = math.max(level, 0)
    if sort ~= 'bucket' then room = math.max(amount - used(), 0) end
    if target > granted and granted + room >= least then grant(granted + math.min(target - granted, room)) end
  end
end

if op == 'lower' and sort == 'window' and total == 0 and not lost and at_gen == 0 then
  -- As if it had never been there: whoever may choose a header may choose many keys.
  -- A call that comes late now may grant what nobody uses, which harms no one.
  redis.call('DEL', key)
  return {granted, total, at_gen}
end

local began = redis.call('EXISTS', key) == 0
redis.call('HSET', key, 'gen', text(at_gen), 'total', text(total))
if lost then redis.call('HSET', key, 'known', text(lost), 'fresh', text(fresh)) end
if sort == 'bucket' then redis.call('HSET', key, 'level', text(level), 'rest', text(rest), 'at', text(at), 'burst', text(burst)) end
if op == 'raise' or op == 'lower' then
  redis.call('HSET', key, 'h:' .. holder, text(granted) .. ' ' .. text(seq) .. ' ' .. text(now))
end
if sort ~= 'window' or began then redis.call('PEXPIRE', key, text(keep)) end

-- Holders come and go; a bucket that is always in use would remember them for ever.
if sort == 'bucket' and redis.call('HLEN', key) > 512 then
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'h:' then
      local _, _, heard = parse(all[i + 1])
      if now - heard > 3600000000 then redis.call('HDEL', key, all[i]) end
    end
  end
end
return {granted or 0, used(), at_gen}
