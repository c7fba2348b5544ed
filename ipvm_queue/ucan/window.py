"""The time in which a token is valid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvm_queue.ucan.errors import ExpiredError, TooEarlyError

if TYPE_CHECKING:
    from ipvm_queue.ucan.delegation import Delegation
    from ipvm_queue.ucan.invocation import Invocation

LEEWAY: Final = 60  # seconds that two clocks may differ


def check_time(token: Delegation | Invocation, now: int, leeway: int = LEEWAY) -> None:
    """Raise `ExpiredError` after `exp` and `TooEarlyError` before `nbf`; both seconds themselves are within."""
    if token.exp is not None and now > token.exp + leeway:
        raise ExpiredError(f"expired at {token.exp}, now it is {now}", token=token.link)
    if token.nbf is not None and now < token.nbf - leeway:
        raise TooEarlyError(f"not valid before {token.nbf}, now it is {now}", token=token.link)
