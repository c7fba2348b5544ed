"""Users of the broker: a worker works as one of its own, which the gate makes at its pop and deletes with its lease."""

from __future__ import annotations

from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.errors import UnavailableError

if TYPE_CHECKING:
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys

PREFIX: Final = "w-"
_COMMANDS: Final = (
    "get mget set mset strlen exists expire pexpire persist rename del unlink "
    "hget hgetall hkeys hmget hset hdel hexists hsetnx hincrby hlen hstrlen "
    "zadd zrem zscore zcard zcount zrange zrevrange zrangebyscore "
    "sadd srem smembers sismember scard xadd xread xrange lpush rpush brpop blpop rpop llen time waitaof "
    "multi exec discard watch unwatch publish subscribe unsubscribe psubscribe punsubscribe "
    "eval evalsha script|load script|exists auth hello ping select client|setinfo client|setname client|id "
    "quit reset info config|get"
)
_CHANNELS: Final = "/0.celery.pidbox", "/0.celeryev/*", "/0.celeryev/worker.*"


class User(NamedTuple):
    """A user of the broker and its password."""

    name: str
    password: str


class Users:
    """Makes and deletes the users of workers; `enforced` says whether the broker lets the gate do so."""

    def __init__(self, redis: Broker, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self.enforced = self._may()

    def _may(self) -> bool:
        """Whether there are users to tell apart: the gate is not the all-powerful default user, and may make others."""
        try:
            return bool(self._redis.acl_whoami() not in ("default", b"default")) and self._redis.acl_list() is not None
        except UnavailableError:
            return False

    def make(self) -> User:
        """Return a new user who may do what a worker does on this queue, and nothing else."""
        user = User(PREFIX + token_hex(8), token_hex(24))
        prefix = self._keys.prefix
        keys = [f"~{prefix}*", f"&{prefix}*", *(f"&{prefix}{channel}" for channel in _CHANNELS)]
        rules = [*keys, *(f"+{command}" for command in _COMMANDS.split())]
        self._redis.execute_command("ACL", "SETUSER", user.name, "reset", "on", f">{user.password}", *rules)
        return user

    def drop(self, name: str) -> None:
        """Delete a user; its connections are closed at once."""
        if name.startswith(PREFIX):
            with suppress(UnavailableError):
                self._redis.acl_deluser(name)

    def names(self) -> list[str]:
        """Return the users of workers."""
        users = (each.decode() if isinstance(each, bytes) else each for each in self._redis.acl_users())
        return [name for name in users if name.startswith(PREFIX)]
