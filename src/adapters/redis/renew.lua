-- Extend leases.
-- KEYS checks
-- ARGV prefix of the shard, until, then member and attempt of each
-- Returns the places, from 1, of those that do not hold any more.
local lost = {}
for place = 3, #ARGV, 2 do
  local member = ARGV[place]
  local job = ARGV[1] .. string.sub(member, 38) .. ':job:' .. string.sub(member, 1, 36)
  local stored = redis.call('HMGET', job, 'attempt', 'running')
  if stored[1] == ARGV[place + 1] and stored[2] == '1' then
    redis.call('HSET', job, 'check_at', ARGV[2])
    redis.call('ZADD', KEYS[1], ARGV[2], member)
  else
    lost[#lost + 1] = (place - 1) / 2
  end
end
return lost
