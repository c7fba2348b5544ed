"""Connections to Redis or Valkey, with limits that fit us."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from urllib.parse import unquote, urlsplit

from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.client import Pipeline
from redis.credentials import CredentialProvider
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from ipvm_queue.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

# redis-py's own default of 5 s is shorter than the blocking reads below and fails them.
_SOCKET_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 5.0
Broker: TypeAlias = Any  # a redis-py client; its stubs say `bytes | str` of every answer, ours are bytes
_SCHEMES: Final = ("redis", "rediss")
_OF_PIPELINE: Final = re.compile(
    r"^Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL
)  # with all its arguments


class _Pipeline(Pipeline):
    url: str

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().execute(*args, **kwargs)
        except RedisError as error:
            raise _translated(error, self.url) from error


class _Client(Redis):
    url: str

    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except NoScriptError:
            raise  # redis-py loads the script and asks again
        except RedisError as error:
            raise _translated(error, self.url) from error

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:  # noqa: FBT001, FBT002 - redis-py's
        pipeline = _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.url = self.url
        return pipeline


class Credentials(NamedTuple):
    """A user of the broker and its password."""

    user: str
    password: str


class Current(CredentialProvider):
    """Gives whoever connects the user that `source` names at that moment; the URL's own while it names none."""

    def __init__(self, url: str, source: Callable[[], Credentials | None]) -> None:
        parts = urlsplit(url)
        self._own = Credentials(unquote(parts.username or "default"), unquote(parts.password or ""))
        self._source = source

    def get_credentials(self) -> tuple[str, str] | tuple[str]:
        """Return user and password; neither where there is nothing to say."""
        found = self._source() or self._own
        return (found.user, found.password)


def without_user(url: str) -> str:
    """Return a URL without user and password: who connects gets them from elsewhere."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def connect(
    url: str, *, retries: int = 3, source: Callable[[], Credentials | None] | None = None, kept: bool = False
) -> Broker:
    """Return a client for a broker URL (`redis://`, `rediss://`); connects at its first command.

    `source` names the user to connect as, at each connection anew; None, there or of it: as the URL says. One that is
    `kept` connects now and has its commands go over this one connection, which is quicker than one from a pool: for
    processes of one thread, or whose others seldom ask, and for no command that waits.

    Every command raises `UnavailableError` where redis-py would raise an error of its own, and so does this where it
    connects. Raises `UsageError` for a URL of another kind.
    """
    if urlsplit(url).scheme not in _SCHEMES:
        raise UsageError(f"not a Redis URL: {hide_password(url)}", hint="redis://HOST:PORT/0 is expected")
    given = {} if source is None else {"credential_provider": Current(url, source)}
    try:
        client: Any = _Client.from_url(
            url if source is None else without_user(url),
            single_connection_client=kept,
            socket_timeout=_SOCKET_SECONDS,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_keepalive=True,
            health_check_interval=15,
            retry=Retry(ExponentialWithJitterBackoff(cap=1.0, base=0.05), retries),
            **given,
        )
    except RedisError as error:
        raise _translated(error, url) from error
    client.url = url
    return client


def hide_password(url: str) -> str:
    """Return a URL that can be shown."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return parts._replace(netloc=f"{parts.username or ''}:…@{parts.hostname}:{parts.port or ''}".rstrip(":")).geturl()


def _translated(error: RedisError, url: str) -> UnavailableError:
    """Return our error for one of redis-py's."""
    url = hide_password(url)
    said = _OF_PIPELINE.sub("", str(error)).strip()
    reason = said.splitlines()[0] if said else type(error).__name__
    if isinstance(error, AuthenticationError | NoPermissionError):
        hint = "check the URL's user and password"
        if isinstance(error, NoPermissionError):
            hint = "user and password are right, the role is not: docs/operate.md says what each may"
        return UnavailableError(f"the broker at {url} does not let us in: {reason}", hint=hint, refused=True)
    if isinstance(error, OutOfMemoryError):
        return UnavailableError(f"the broker at {url} is out of memory", hint="raise its maxmemory")
    if isinstance(error, RedisConnectionError | RedisTimeoutError):
        hint = "start one, or name no broker to use the embedded stack"
        return UnavailableError(f"no broker answers at {url}: {reason}", hint=hint)
    return UnavailableError(f"the broker at {url} refused a command: {reason}")
