-- Replace a job by its next version, append the event of the change, and announce it.
-- KEYS job, events, due, taken, checks, ended, feed, counts
-- ARGV member, seq, attempt, status, running, state, due_at, check_at, finished_at,
--      tenant, packed event, channel, length of the feed
-- Returns 1 saved, 0 the stored job is not the version before, -1 there is none.
local job, member = KEYS[1], ARGV[1]
local stored = redis.call('HMGET', job, 'seq', 'attempt', 'status', 'kind')
if not stored[1] then
  return -1
end
if tonumber(stored[1]) ~= tonumber(ARGV[2]) - 1 or tonumber(stored[2]) > tonumber(ARGV[3]) then
  return 0
end
redis.call('HSET', job, 'seq', ARGV[2], 'attempt', ARGV[3], 'status', ARGV[4], 'running', ARGV[5],
  'state', ARGV[6], 'due_at', ARGV[7], 'check_at', ARGV[8])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1024, ARGV[2] .. '-0', 'e', ARGV[11])
redis.call('XADD', KEYS[7], 'MAXLEN', '~', ARGV[13], '*', 't', ARGV[10], 'e', ARGV[11])
redis.call('ZREM', KEYS[4], member)
for place, score in pairs({ [3] = ARGV[7], [5] = ARGV[8], [6] = ARGV[9] }) do
  if score == '' then
    redis.call('ZREM', KEYS[place], member)
  else
    redis.call('ZADD', KEYS[place], score, member)
  end
end
if stored[3] ~= ARGV[4] then
  redis.call('HINCRBY', KEYS[8], stored[3] .. '\n' .. stored[4], -1)
  redis.call('HINCRBY', KEYS[8], ARGV[4] .. '\n' .. stored[4], 1)
end
redis.call('PUBLISH', ARGV[12], ARGV[11])
return 1
