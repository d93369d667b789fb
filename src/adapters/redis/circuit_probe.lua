-- Let one process probe, and the same one again, until its time is over.
-- KEYS probe
-- ARGV owner, milliseconds
-- Returns 1 if this one may, 0 if another one may.
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
