-- Keep a value with the tokens of its tags, and let the oldest go when there are too many.
-- KEYS value, index of the tenant's values, tags...
-- ARGV text, time to live in ms, token for a tag that has none, how many values are kept, tokens that
--      the tags must have still...
-- A value counts while each of its tags has the token that stands before it.
local value, index, ttl = KEYS[1], KEYS[2], ARGV[2]
if ARGV[5] then
  for place = 3, #KEYS do
    if redis.call('GET', KEYS[place]) ~= ARGV[place + 2] then
      return
    end
  end
end
local tokens = {}
for place = 3, #KEYS do
  local tag = KEYS[place]
  redis.call('SET', tag, ARGV[3], 'NX', 'PX', ttl)
  redis.call('PEXPIRE', tag, ttl, 'GT')
  tokens[#tokens + 1] = tag .. ' ' .. redis.call('GET', tag)
end
redis.call('SET', value, table.concat(tokens, ' ') .. '\n' .. ARGV[1], 'PX', ttl)

local time = redis.call('TIME')
redis.call('ZADD', index, time[1] .. string.format('%06d', time[2]), value)
redis.call('PEXPIRE', index, ttl, 'NX')
redis.call('PEXPIRE', index, ttl, 'GT')
local surplus = redis.call('ZCARD', index) - ARGV[4]
if surplus > 0 then
  local oldest = redis.call('ZPOPMIN', index, surplus)
  for place = 1, #oldest, 2 do
    redis.call('UNLINK', oldest[place])
  end
end
