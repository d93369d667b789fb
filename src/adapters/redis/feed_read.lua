-- Read what a consumer has not acknowledged, for the one process that reads for it now.
-- KEYS feed, holder
-- ARGV group, reader, ms for which it holds the feed, limit
-- Returns entries, none when another process reads.
local feed, group, limit = KEYS[1], ARGV[1], tonumber(ARGV[4])
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[2] then
  return {}
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.pcall('XGROUP', 'CREATE', feed, group, '0', 'MKSTREAM')
-- All processes are one reader to the group: what one of them left unacknowledged, the next begins with.
local entries = {}
local function read(from)
  local count = limit - #entries
  if count == 0 then
    return
  end
  local reply = redis.call('XREADGROUP', 'GROUP', group, 'relay', 'COUNT', count, 'STREAMS', feed, from)
  for _, entry in ipairs(reply and reply[1][2] or {}) do
    if entry[2] then
      entries[#entries + 1] = entry
    else
      redis.call('XACK', feed, group, entry[1]) -- the feed was cut to its length before it was read
    end
  end
end
read('0')
read('>')
return entries
