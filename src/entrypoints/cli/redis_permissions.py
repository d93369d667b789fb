"""Trying out what Redis lets us do, on a key that is removed again."""

from hashlib import sha1
from typing import Final
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

from encola.entrypoints.cli.findings import Finding

_SCRIPT: Final = "return redis.call(unpack(ARGV))"
_SCRIPT_SHA: Final = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
# One of each kind that our scripts use. The first must work: what cannot be removed is not written.
_COMMANDS: Final = (
    "UNLINK {key}",
    "SET {key} value PX 10000",
    "GET {key}",
    "UNLINK {key}",
    "HSET {key} field value",
    "PEXPIRE {key} 10000",
    "HMGET {key} field",
    "UNLINK {key}",
    "ZADD {key} 1 member",
    "ZRANGEBYSCORE {key} 0 1",
    "UNLINK {key}",
    "SADD {key} member",
    "SMEMBERS {key}",
    "UNLINK {key}",
    "XGROUP CREATE {key} group 0 MKSTREAM",
    "XADD {key} 1-1 field value",
    "XREADGROUP GROUP group doctor STREAMS {key} >",
    "XACK {key} group 1-1",
    "UNLINK {key}",
    "TIME",
    "PUBLISH {key} nothing",
)
_FIX: Final = (
    "redis-cli ACL SETUSER <user> '~encola:*' '&encola:*' +@read +@write +@scripting +@pubsub +@connection"
    " +time +info '+config|get'"
)


def probe_key(shard: int) -> str:
    """Return a new name in the shard's slot, and like the others in pattern."""
    return f"encola:{{{shard}}}::doctor:{uuid4().hex}"


async def permissions(node: Redis, shard: int) -> Finding:
    """Say whether we may do everything that we need to."""
    key = probe_key(shard)
    refused = [*await _refused_commands(node, key), *await _refused_subscription(node, key)]
    if refused:
        message = f"our user may not {', '.join(dict.fromkeys(refused))} on encola:*"
        return Finding(name="redis permissions", status="fail", message=message, fix=_FIX)
    message = "scripts, and all that they do on encola:*"
    return Finding(name="redis permissions", status="ok", message=message)


async def _refused_commands(node: Redis, key: str) -> list[str]:
    refused: list[str] = []
    for template in _COMMANDS:
        name = await _refused_by(node, key, template.format(key=key).split())
        if name is not None:
            refused.append(name)
            if template == _COMMANDS[0]:
                break
    return refused


async def _refused_by(node: Redis, key: str, command: list[str]) -> str | None:
    """Run the command in a script, as we always do; return the name of what is forbidden."""
    try:
        try:
            await node.evalsha(_SCRIPT_SHA, 1, key, *command)
        except NoScriptError:
            await node.eval(_SCRIPT, 1, key, *command)
    except NoPermissionError:
        return "EVALSHA and EVAL"
    except ResponseError as error:
        # Inside a script a refusal has no code of its own, and its text differs from one Redis to another.
        if type(error) is not ResponseError or str(error).startswith("MISCONF"):
            raise
        return command[0]
    return None


async def _refused_subscription(node: Redis, channel: str) -> list[str]:
    async with node.pubsub() as heard:
        try:
            await heard.subscribe(channel)
            await heard.get_message(timeout=1)
        except ResponseError:
            return ["SUBSCRIBE"]
    return []
