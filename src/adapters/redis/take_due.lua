-- Take jobs whose time has come: by rank, then by due time, over all queues but the skipped ones.
-- KEYS taken, queues
-- ARGV prefix of the shard, now, free again at, limit, queues to skip...
-- Returns state, params, check_at of each, one after the other.
local prefix, now, limit = ARGV[1], ARGV[2], tonumber(ARGV[4])

local function job_of(member)
  return prefix .. string.sub(member, 38) .. ':job:' .. string.sub(member, 1, 36)
end

-- What was taken and neither claimed nor changed waits again, since when it did before.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000)) do
  redis.call('ZREM', KEYS[1], member)
  local job = redis.call('HMGET', job_of(member), 'rank', 'queue', 'due_at')
  if job[3] and job[3] ~= '' then
    redis.call('ZADD', prefix .. ':due:' .. job[1] .. ':' .. job[2], job[3], member)
  end
end

local skip = {}
for place = 5, #ARGV do
  skip[ARGV[place]] = true
end
local queues = redis.call('SMEMBERS', KEYS[2])
local reply, count = {}, 0
for rank = 0, 2 do
  local found = {}
  for _, queue in ipairs(queues) do
    if count < limit and not skip[queue] then
      local due = prefix .. ':due:' .. rank .. ':' .. queue
      local range = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit - count)
      for place = 1, #range, 2 do
        found[#found + 1] = { member = range[place], at = tonumber(range[place + 1]), due = due }
      end
    end
  end
  table.sort(found, function(one, other) return one.at < other.at end)
  for _, entry in ipairs(found) do
    if count == limit then
      break
    end
    count = count + 1
    redis.call('ZREM', entry.due, entry.member)
    redis.call('ZADD', KEYS[1], ARGV[3], entry.member)
    for _, field in ipairs(redis.call('HMGET', job_of(entry.member), 'state', 'params', 'check_at')) do
      reply[#reply + 1] = field
    end
  end
end
return reply
