-- Find jobs that a keeper must look at, the oldest first.
-- KEYS checks
-- ARGV prefix of the shard, now, limit
-- Returns state, params, check_at of each, one after the other.
local reply = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])) do
  local job = ARGV[1] .. string.sub(member, 38) .. ':job:' .. string.sub(member, 1, 36)
  for _, field in ipairs(redis.call('HMGET', job, 'state', 'params', 'check_at')) do
    reply[#reply + 1] = field
  end
end
return reply
