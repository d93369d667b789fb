-- Walk one page of a tenant's jobs, the newest first.
-- KEYS jobs of the tenant
-- ARGV prefix of the tenant's jobs, newest creation, oldest creation, how many to walk over,
--      how many of them to skip, number of statuses, statuses..., types...
-- Returns how many were walked over, then state, params, check_at of those that fit.
local ids = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', ARGV[5], ARGV[4])
local wanted = { {}, {} }
local statuses = tonumber(ARGV[6])
for place = 7, #ARGV do
  wanted[place <= 6 + statuses and 1 or 2][ARGV[place]] = true
end

local function fits(stored)
  local type = string.match(stored[5], '^[^\n]*')
  return (next(wanted[1]) == nil or wanted[1][stored[4]]) and (next(wanted[2]) == nil or wanted[2][type])
end

local reply = { #ids }
for _, job_id in ipairs(ids) do
  local stored = redis.call('HMGET', ARGV[1] .. job_id, 'state', 'params', 'check_at', 'status', 'kind')
  if stored[1] and fits(stored) then
    for place = 1, 3 do
      reply[#reply + 1] = stored[place]
    end
  end
end
return reply
