-- Add a piece of partial output, and announce it.
-- KEYS job, written, output
-- ARGV attempt, name, offset, end, longest, text, channel, packed chunk
-- Returns 1 kept, 0 not what may follow, -1 there is no such job, -2 too long.
local stored = redis.call('HMGET', KEYS[1], 'attempt', 'running')
if not stored[1] then
  return -1
end
if stored[1] ~= ARGV[1] or stored[2] ~= '1' then
  return 0
end
local size = 'size:' .. ARGV[2]
local written = redis.call('HMGET', KEYS[2], 'attempt', size)
local is_anew = written[1] ~= ARGV[1]
if ARGV[3] ~= ((not is_anew and written[2]) or '0') then
  return 0
end
if tonumber(ARGV[4]) > tonumber(ARGV[5]) then
  return -2
end
if is_anew then
  redis.call('DEL', KEYS[2], KEYS[3])
end
redis.call('HSET', KEYS[2], 'attempt', ARGV[1], size, ARGV[4])
redis.call('XADD', KEYS[3], '*', 'a', ARGV[1], 'n', ARGV[2], 't', ARGV[6])
redis.call('PUBLISH', ARGV[7], ARGV[8])
return 1
