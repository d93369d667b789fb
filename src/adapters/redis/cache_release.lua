-- Let a lease go if it is the owner's.
-- KEYS lease
-- ARGV owner
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('UNLINK', KEYS[1])
end
