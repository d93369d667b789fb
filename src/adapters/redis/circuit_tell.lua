-- Keep the latest word on a circuit, and say it to all processes. What it is numbered by is the time of
-- this Redis in microseconds, or one more than the word before where the clock was set back.
-- KEYS word, probe
-- ARGV channel, rest of the word, milliseconds to keep it, most milliseconds that a probe may still take
-- Returns the number.
local time = redis.call('TIME')
local number = time[1] * 1000000 + time[2]
local before = string.match(redis.call('GET', KEYS[1]) or '', '^%d+')
if before and tonumber(before) >= number then
  number = tonumber(before) + 1
end
number = string.format('%.0f', number)
local word = number .. ' ' .. ARGV[2]
redis.call('SET', KEYS[1], word, 'PX', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4], 'LT')
redis.call('PUBLISH', ARGV[1], word)
return number
