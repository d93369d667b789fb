-- Keep a new job with its first event, and announce it, unless it is known already.
-- KEYS job, events, due, taken, checks, ended, feed, counts, jobs of the tenant, owners, queues,
--      idempotency key
-- ARGV member, seq, attempt, status, running, state, due_at, check_at, finished_at,
--      tenant, packed event, channel, length of the feed,
--      params, created_at, rank, queue, kind (type and queue), taken until,
--      expiry of the key, its lifetime in ms ('' without a key), prefix of the tenant's jobs
-- Returns nil when it was kept, or else {state, params, check_at} of the job that was there.
local job, member = KEYS[1], ARGV[1]
local job_id = string.sub(member, 1, 36)
if ARGV[20] ~= '' then
  local named = redis.call('HMGET', KEYS[12], 'job', 'expires_at')
  if named[1] and tonumber(named[2]) > tonumber(ARGV[15]) then
    local kept = redis.call('HMGET', ARGV[22] .. named[1], 'state', 'params', 'check_at')
    if kept[1] then
      return kept
    end
  end
end
if redis.call('EXISTS', job) == 1 then
  return redis.call('HMGET', job, 'state', 'params', 'check_at')
end
redis.call('HSET', job, 'seq', ARGV[2], 'attempt', ARGV[3], 'status', ARGV[4], 'running', ARGV[5],
  'state', ARGV[6], 'due_at', ARGV[7], 'check_at', ARGV[8],
  'params', ARGV[14], 'rank', ARGV[16], 'queue', ARGV[17], 'kind', ARGV[18])
redis.call('XADD', KEYS[2], ARGV[2] .. '-0', 'e', ARGV[11])
redis.call('XADD', KEYS[7], 'MAXLEN', '~', ARGV[13], '*', 't', ARGV[10], 'e', ARGV[11])
if ARGV[19] ~= '' then
  redis.call('ZADD', KEYS[4], ARGV[19], member)
elseif ARGV[7] ~= '' then
  redis.call('ZADD', KEYS[3], ARGV[7], member)
end
if ARGV[8] ~= '' then
  redis.call('ZADD', KEYS[5], ARGV[8], member)
end
if ARGV[9] ~= '' then
  redis.call('ZADD', KEYS[6], ARGV[9], member)
end
redis.call('HINCRBY', KEYS[8], ARGV[4] .. '\n' .. ARGV[18], 1)
redis.call('ZADD', KEYS[9], ARGV[15], job_id)
redis.call('HSET', KEYS[10], job_id, ARGV[10])
redis.call('SADD', KEYS[11], ARGV[17])
if ARGV[20] ~= '' then
  redis.call('HSET', KEYS[12], 'job', job_id, 'expires_at', ARGV[20])
  redis.call('PEXPIRE', KEYS[12], ARGV[21])
end
redis.call('PUBLISH', ARGV[12], ARGV[11])
return nil
