"""The principals of the work-queue diagram on one machine: their keys, and the delegations between them (1 to 7).

For the embedded stack, whose owner is queue, service, worker and user at once. Between machines an operator does the
same by hand: `ipvm key new` for each, `ipvm delegate` for each arrow.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from time import time
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.crypto import load_signer
from ipvm_queue.errors import UsageError
from ipvm_queue.queue.proofs import Proofs
from ipvm_queue.queue.requests import POP, PROXY_SIGN, PUSH, RUN
from ipvm_queue.ucan import Container, Delegation, UcanError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvm_queue.crypto import Signer
    from ipvm_queue.settings import Settings

_EVERYTHING: Final = "/"


class Agents(NamedTuple):
    """The DIDs of those who are set up."""

    queue: str
    service: str
    worker: str
    user: str


def establish(settings: Settings) -> Agents:
    """Make the keys and delegations that are missing here, or that have less than half of their time left.

    Raises `KeyFileError` or `UsageError` where a file cannot be used.
    """
    queue, service, worker, user = (
        load_signer(path, create=True)
        for path in (settings.queue_key, settings.service_key, settings.worker_key, settings.key)
    )
    now = int(time())
    later = now + int(settings.grant_ttl / 2)
    until = now + int(settings.grant_ttl)
    with _alone(settings.queue_proofs):
        if not _has(settings.queue_proofs, later, (service, queue, PROXY_SIGN)):
            sign = Delegation.issue(service, queue.did, service.did, PROXY_SIGN, expiration=until)  # 2
            _add(settings.queue_proofs, [sign], now)
        (sign,) = Proofs.load([settings.queue_proofs]).chain(service.did, queue.did, PROXY_SIGN, now=later)
        if not _has(settings.worker_proofs, later, (queue, worker, POP), (service, worker, PROXY_SIGN)):
            pop = Delegation.issue(queue, worker.did, queue.did, POP, expiration=until)  # 3
            on = Delegation.issue(queue, worker.did, service.did, PROXY_SIGN, expiration=sign.exp)  # 4
            _add(settings.worker_proofs, [sign, pop, on], now)
        if not _has(settings.proofs, later, (queue, user, PUSH), (service, user, RUN)):
            push = Delegation.issue(queue, service.did, queue.did, PUSH, expiration=until)  # 1
            again = Delegation.issue(service, user.did, queue.did, PUSH, expiration=until)  # 1, passed on
            work = Delegation.issue(service, user.did, service.did, _EVERYTHING, expiration=until)  # 7
            _add(settings.proofs, [push, again, work], now)
    return Agents(queue.did, service.did, worker.did, user.did)


def keep(path: Path, delegations: list[Delegation]) -> None:
    """Put delegations into a file of proofs, beside those in it that are still good; raises `UsageError`."""
    with _alone(path):
        _add(path, delegations, int(time()))


def _has(path: Path, when: int, *needed: tuple[Signer, Signer, str]) -> bool:
    if not path.exists():
        return False
    proofs = Proofs.load([path])
    try:
        for subject, audience, command in needed:
            proofs.chain(subject.did, audience.did, command, now=when)
    except UcanError:
        return False
    return True


def _add(path: Path, new: list[Delegation], now: int) -> None:
    """Write delegations to a container file, beside those in it that are still good."""
    kept = Proofs.load([path]).delegations if path.exists() else []
    good = [each.data for each in kept if each.exp is None or each.exp > now]
    data = Container.of([*good, *(each.data for each in new)]).write()
    write(path, data)


def write(path: Path, data: bytes) -> None:
    """Write a file that its owner alone may read, as a whole or not at all; raises `UsageError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, partial = mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(partial).replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock beside `path`, so that two commands do not make two sets of delegations."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path.parent / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UsageError(f"cannot use {path.parent}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
