"""What Redis does for all nodes in one step: take tokens of buckets, and lend some ahead (`leases.py`).

A bucket is a hash: its tokens (`t`) as they were at a time of Redis' clock (`a`), and by the name of a node what that
has been lent, and until when. It goes by itself when it would be full again.
"""

from hashlib import sha1

PREFIX = "erlmcp:limit:"

TAKE = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local node, kept = ARGV[1], tonumber(ARGV[2])
local answers = {}
for index, key in ipairs(KEYS) do
  local first = (index - 1) * 5 + 2
  local amount, period = tonumber(ARGV[first + 1]), tonumber(ARGV[first + 2])
  local costs, given, share = ARGV[first + 3], tonumber(ARGV[first + 4]), tonumber(ARGV[first + 5])
  local tokens, at, lent = amount, now, 0
  local state = redis.call('HGETALL', key)
  for field = 1, #state, 2 do
    local name, value = state[field], state[field + 1]
    if name == 't' then tokens = tonumber(value)
    elseif name == 'a' then at = tonumber(value)
    elseif name ~= node then
      local many, ends = string.match(value, '(%d+):(%d+)')
      if tonumber(ends) > now then lent = lent + tonumber(many) else redis.call('HDEL', key, name) end
    end
  end
  local grown = tokens + given + math.max(0, now - at) * amount / period
  tokens = math.max(0, math.min(amount - lent, grown))
  local whole = math.floor(tokens + 0.000001)
  local left, ahead, all = whole, 0, true
  for cost in string.gmatch(costs, '%d+') do
    if tonumber(cost) <= left then left = left - cost else all = false end
  end
  tokens = tokens - (whole - left)
  if share > 0 and all then ahead = math.floor(tokens / share) end
  tokens = tokens - ahead
  redis.call('HSET', key, 't', string.format('%.9f', tokens), 'a', string.format('%.0f', now))
  if ahead > 0 then redis.call('HSET', key, node, string.format('%.0f:%.0f', ahead, now + kept))
  else redis.call('HDEL', key, node) end
  redis.call('PEXPIRE', key, string.format('%.0f', math.ceil((period + kept) / 1000) + 1000))
  answers[index] = {whole, ahead, string.format('%.9f', tokens)}
end
return answers
"""
"""For each key: what is given back goes in, each cost comes out for which there are enough, and a share of the rest is
lent. The answer tells how many whole tokens there were, so that the node finds the same costs paid.
"""
TAKE_SHA = sha1(TAKE.encode(), usedforsecurity=False).hexdigest()
"""By which Redis knows the script once it has run."""

NODES = PREFIX + "nodes"

COUNT_NODES = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
"""
"""The node ARGV[1] is there; how many have said so in the last ARGV[2] seconds."""
