"""What can be said of one step of a bundle's verification, and what of a bundle as a whole."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.ucan import (
    ExpiredError,
    InvalidSignatureError,
    MalformedArgumentsError,
    MalformedError,
    TooEarlyError,
    UnavailableProofError,
    UnsupportedAlgorithmError,
    UnsupportedDIDError,
    UnsupportedVersionError,
)

if TYPE_CHECKING:
    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.ucan import UcanError


class Verdict(StrEnum):
    """How a step came out; every fault has a word of its own."""

    OK = "ok"
    ALTERED = "altered"  # bytes were changed after they were signed, or named by their CID
    MISSING = "missing"  # a member that is needed is not there
    SWAPPED = "swapped"  # another member stands in its place: good by itself, and about something else
    REORDERED = "reordered"  # the right members, in a wrong order
    EXPIRED = "expired"  # after its time, at the time that counts for it
    EARLY = "early"  # before its time
    DELEGATED = "wrongly delegated"  # whoever signed it was not allowed to
    MALFORMED = "malformed"  # no token, or not of the form that belongs here
    UNKNOWN = "unknown"  # cannot be found out here
    OPEN = "not looked at"  # hangs on a step that failed


_RULES: Final[dict[type[UcanError], Verdict]] = {
    InvalidSignatureError: Verdict.ALTERED,
    ExpiredError: Verdict.EXPIRED,
    TooEarlyError: Verdict.EARLY,
    UnavailableProofError: Verdict.MISSING,
    MalformedError: Verdict.MALFORMED,
    MalformedArgumentsError: Verdict.MALFORMED,
    UnsupportedAlgorithmError: Verdict.MALFORMED,
    UnsupportedVersionError: Verdict.MALFORMED,
    UnsupportedDIDError: Verdict.MALFORMED,
}


def verdict_of(error: UcanError) -> Verdict:
    """Return the verdict on what breaks a rule of UCAN; rules about chains say that it was wrongly delegated."""
    return _RULES.get(type(error), Verdict.DELEGATED)


class Flaw(Exception):  # noqa: N818 - not an error of the caller's: it ends a step, and is its verdict
    """Ends a step with a verdict other than `ok`."""

    def __init__(self, verdict: Verdict, detail: str) -> None:
        super().__init__(detail)
        self.verdict = verdict
        self.detail = detail


class Step(NamedTuple):
    """One step: its name, how it came out, and what was found."""

    name: str
    verdict: Verdict
    detail: str

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against it; what cannot be known offline does not."""
        return self.verdict in (Verdict.OK, Verdict.UNKNOWN)


class Finding(NamedTuple):
    """A receipt of a bundle, judged.

    `labels` are the tasks that it answers, in the job that it was made for or that was asked about; `worker`,
    `service`, `queue` and `requestor` are DIDs, empty where they were not found out. `is_input` says that it is there
    for others only, whose arguments its Result went into. `addresses` are the Tasks that it answers for
    anybody, none where it says that a task was not run; `word` is the token that says it in the service's name (13s).
    `is_secret` says that the Result is sealed.
    """

    receipt: Link
    ran: Link | None
    out: Value
    labels: tuple[str, ...]
    worker: str
    service: str
    queue: str
    requestor: str
    job: Link | None
    is_input: bool
    steps: tuple[Step, ...]
    addresses: frozenset[Link] = frozenset()
    word: Link | None = None
    is_secret: bool = False

    @property
    def holds(self) -> bool:
        """Whether every step holds."""
        return all(step.holds for step in self.steps)

    @property
    def flaw(self) -> Step | None:
        """The first step that does not hold."""
        return next((step for step in self.steps if not step.holds), None)


class Report(NamedTuple):
    """A bundle, judged: `asked` are steps about the whole, `unused` the members that belong to nothing in it."""

    findings: tuple[Finding, ...]
    asked: tuple[Step, ...]
    unused: tuple[Link, ...]

    @property
    def holds(self) -> bool:
        """Whether there is a receipt, and everything holds."""
        return bool(self.findings) and self.flaw is None

    @property
    def flaw(self) -> Step | None:
        """The first step that does not hold."""
        flaws = [each.flaw for each in self.findings if each.flaw is not None]
        return next((step for step in (*flaws, *self.asked) if not step.holds), None)
