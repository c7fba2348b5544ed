"""Options that several commands share."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ipvm_queue.cli import words
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipvm_queue.client import Client
    from ipvm_queue.ipld import Link
    from ipvm_queue.settings import Settings

Command = TypeVar("Command", bound="Callable[..., Any]")
_MOST: Final = 1_000_000

as_json = click.option("--json", "as_json", is_flag=True, help="Print one DAG-JSON object to standard output.")
broker = click.option(
    "--broker",
    metavar="URL",
    help="Redis or Valkey, as redis://HOST:PORT/DB; env IPVM_BROKER_URL; without one: a stack of one's own.",
)
key = click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Your Ed25519 key in PEM; env IPVM_KEY. The default one is made at first use.",
)
proofs = click.option(
    "--proof",
    "proofs",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A container of delegations that let you in, beside those of IPVM_PROOFS. Repeatable.",
)
reveal = click.option("--reveal", is_flag=True, help="Show what is secret too; for its owner, by --key.")


def limit(default: int) -> Callable[[Command], Command]:
    """Give a command that lists things `--limit`."""
    kind = click.IntRange(1, _MOST)
    return click.option("--limit", default=default, show_default=True, type=kind, help="How many, the newest first.")


def connecting(command: Command) -> Command:
    """Give a command `--broker`, `--key` and `--json`."""
    return broker(key(as_json(command)))


def settings(**flags: Any) -> Settings:
    """Return the settings in force under these flags."""
    from ipvm_queue.settings import Settings

    return Settings(**flags)


@contextmanager
def connected(
    broker: str | None, key: Path | None, *, workers: bool = False, proofs: tuple[Path, ...] = ()
) -> Iterator[Client]:
    """Give a client that speaks with the user's key; the embedded stack, if it is one, stops with the block."""
    from ipvm_queue.crypto import load_signer
    from ipvm_queue.embedded import Embedded

    found = settings(broker_url=broker, key=key)
    signer = load_signer(found.key, create=found.source("key") == "default")
    with ExitStack() as held:
        url = found.broker_url or held.enter_context(Embedded.join(found, workers=workers)).broker_url
        from ipvm_queue.client import Client  # it takes a second, in which the workers start

        yield held.enter_context(Client(url, signer=signer, settings=found, proofs=proofs, waiting=words.say))


class Duration(click.FloatRange):
    """A number of seconds or days in a range, in which not-a-number is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a duration."""
        found = super().convert(value, param, ctx)
        if isnan(found):
            self.fail(f"{value!r} is not a number", param, ctx)
        return found


DAYS: Final = Duration(min=0, max=36_525, min_open=True)


class Did(click.ParamType["str"]):
    """A DID that can be verified: did:key, of one of the three suites."""

    name = "did"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read a DID."""
        del param, ctx
        from ipvm_queue.ucan import UcanError
        from ipvm_queue.ucan.token import principal_of

        try:
            principal_of(value)
        except UcanError as error:
            raise UsageError(error.message, hint=error.hint) from error
        return str(value)


class Cid(click.ParamType["Link"]):
    """A CID in any multibase, or `ipfs://CID`."""

    name = "cid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Link:
        """Read a CID."""
        del param, ctx
        from ipvm_queue.errors import CodecError
        from ipvm_queue.ipld import Link

        if isinstance(value, Link):
            return value
        try:
            return Link.parse(value)
        except CodecError as error:
            raise UsageError(error.message, hint=error.hint) from error
