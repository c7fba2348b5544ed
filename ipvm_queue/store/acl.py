"""Users of the broker: a worker works as one of its own, which the gate makes at its pop and deletes with its lease."""

from __future__ import annotations

from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.errors import UnavailableError

if TYPE_CHECKING:
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys

_COMMANDS: Final = (
    "get mget set mset strlen exists expire pexpire pttl persist rename del unlink "
    "hget hgetall hkeys hmget hscan hset hdel hexists hsetnx hincrby hlen hstrlen "
    "zadd zrem zscore zcard zcount zrange zrevrange zrangebyscore "
    "sadd srem smembers sismember scard xadd xread xrange lpush rpush brpop rpop llen time waitaof "
    "multi exec discard watch unwatch publish subscribe unsubscribe psubscribe punsubscribe "
    "eval evalsha script|load script|exists auth hello ping select client|setinfo client|setname client|id "
    "quit reset info config|get"
)
# What runs are made of, the lists of Celery's messages, and Celery's own. What the gate alone decides by (leases,
# revocations, what came before, others' requests) is not among them.
_KEYS: Final = (
    "block:* pin:* run:* runs live receipt:* proxy:* flights waiters:* awaited slots:* workers sweep "
    "act:* acts acts:of doubts lock:* mark:* keys:* ipvm.* _kombu.* celeryev.* *.celery.pidbox* unacked*"
)
_READ: Final = "did revoked"
_ASK: Final = "(%W~{0}inbox:* +hset +expire)", "(%W~{0}inbox +lpush)", "(~{0}reply:* +blpop)"
_CHANNELS: Final = "*", "/0.celery.pidbox", "/0.celeryev/*", "/0.celeryev/worker.*"
_DIGITS: Final = 16


class User(NamedTuple):
    """A user of the broker and its password."""

    name: str
    password: str


class Users:
    """Makes and deletes the users of workers; `enforced` says whether the broker lets the gate do so."""

    def __init__(self, redis: Broker, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._mine = f"w-{keys.queue}-"
        self.enforced = self._may()

    def _may(self) -> bool:
        """Whether there are users to tell apart: the gate is not the all-powerful default user, and may make others."""
        try:
            return bool(self._redis.acl_whoami() not in ("default", b"default")) and self._redis.acl_list() is not None
        except UnavailableError:
            return False

    def make(self) -> User:
        """Return a new user who may do what a worker does on this queue, and nothing else."""
        user = User(self._mine + token_hex(_DIGITS // 2), token_hex(24))
        self._redis.execute_command("ACL", "SETUSER", user.name, "reset", "on", f">{user.password}", *rules(self._keys))
        return user

    def drop(self, name: str) -> None:
        """Delete a user; its connections are closed at once."""
        if self._is_mine(name):
            with suppress(UnavailableError):
                self._redis.acl_deluser(name)

    def names(self) -> list[str]:
        """Return the users of this queue's workers."""
        users = (each.decode() if isinstance(each, bytes) else each for each in self._redis.acl_users())
        return [name for name in users if self._is_mine(name)]

    def _is_mine(self, name: str) -> bool:
        """Whether a user is one of this queue's: other queues on the same server have gates of their own."""
        return name.startswith(self._mine) and len(name) == len(self._mine) + _DIGITS and "-" not in name[-_DIGITS:]


def rules(keys: Keys) -> list[str]:
    """Return what a worker may do on a queue, as the broker's ACL says it."""
    prefix = keys.prefix
    return [
        *(f"~{prefix}{pattern}" for pattern in _KEYS.split()),
        *(f"%R~{prefix}{pattern}" for pattern in _READ.split()),
        *(f"&{prefix}{channel}" for channel in _CHANNELS),
        *(f"+{command}" for command in _COMMANDS.split()),
        *(selector.format(prefix) for selector in _ASK),
    ]
