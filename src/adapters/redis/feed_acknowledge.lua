-- Note that a consumer is done with the feed up to a place, and let go of what all are done with.
-- KEYS feed
-- ARGV group, id of the last entry
local feed, group = KEYS[1], ARGV[1]
redis.pcall('XGROUP', 'CREATE', feed, group, '0', 'MKSTREAM')
while true do
  local pending = redis.call('XPENDING', feed, group, '-', ARGV[2], 500)
  if #pending == 0 then
    break
  end
  local ids = {}
  for _, entry in ipairs(pending) do
    ids[#ids + 1] = entry[1]
  end
  redis.call('XACK', feed, group, unpack(ids))
end

local function later(one, other)
  local one_ms, one_n = string.match(one, '(%d+)-(%d+)')
  local other_ms, other_n = string.match(other, '(%d+)-(%d+)')
  if one_ms ~= other_ms then
    return tonumber(one_ms) > tonumber(other_ms)
  end
  return tonumber(one_n) > tonumber(other_n)
end

local least
for _, info in ipairs(redis.call('XINFO', 'GROUPS', feed)) do
  local fields = {}
  for place = 1, #info, 2 do
    fields[info[place]] = info[place + 1]
  end
  local first = redis.call('XPENDING', feed, fields['name'])[2] or fields['last-delivered-id']
  if not least or later(least, first) then
    least = first
  end
end
redis.call('XTRIM', feed, 'MINID', '~', least)
return 1
