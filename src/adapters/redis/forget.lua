-- Remove jobs that ended before an instant, with all that belongs to them.
-- KEYS ended, owners
-- ARGV prefix of the shard, before, limit
-- Returns how many.
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(members) do
  local job_id = string.sub(member, 1, 36)
  local tenant = ARGV[1] .. string.sub(member, 38)
  local job = tenant .. ':job:' .. job_id
  local stored = redis.call('HMGET', job, 'status', 'kind')
  if stored[1] then
    redis.call('HINCRBY', tenant .. ':counts', stored[1] .. '\n' .. stored[2], -1)
  end
  redis.call('UNLINK', job, tenant .. ':events:' .. job_id,
    tenant .. ':output:' .. job_id, tenant .. ':written:' .. job_id)
  redis.call('ZREM', tenant .. ':jobs', job_id)
  redis.call('HDEL', KEYS[2], job_id)
  redis.call('ZREM', KEYS[1], member)
end
return #members
