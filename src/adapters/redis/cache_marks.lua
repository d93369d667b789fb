-- Return the tokens of tags; a tag that has none gets one.
-- KEYS tags...
-- ARGV token for a tag that has none, how long tags are kept at least in ms
local tokens = {}
for place, tag in ipairs(KEYS) do
  redis.call('SET', tag, ARGV[1], 'NX', 'PX', ARGV[2])
  redis.call('PEXPIRE', tag, ARGV[2], 'GT')
  tokens[place] = redis.call('GET', tag)
end
return tokens
