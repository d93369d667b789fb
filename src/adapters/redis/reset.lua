-- Forget who took or leased what.
-- KEYS taken, checks
-- ARGV prefix of the shard, now
local function job_of(member)
  return ARGV[1] .. string.sub(member, 38) .. ':job:' .. string.sub(member, 1, 36)
end
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local job = redis.call('HMGET', job_of(member), 'rank', 'queue', 'due_at')
  redis.call('ZADD', ARGV[1] .. ':due:' .. job[1] .. ':' .. job[2], job[3], member)
end
redis.call('DEL', KEYS[1])
for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if redis.call('HGET', job_of(member), 'running') == '1' then
    redis.call('HSET', job_of(member), 'check_at', ARGV[2])
    redis.call('ZADD', KEYS[2], ARGV[2], member)
  end
end
return 1
