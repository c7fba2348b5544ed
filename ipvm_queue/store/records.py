"""What a run keeps of a settled node: the receipt's CID, a flag, and the Result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ipvm_queue.ipld import Link, decode_own

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value

State: TypeAlias = Literal["ok", "error", "skipped", "in-doubt"]
FAILED: Final[tuple[State, ...]] = ("error", "in-doubt")
_CID_BYTES: Final = 36
_STATES: Final[dict[str, State]] = {"o": "ok", "e": "error", "s": "skipped", "i": "in-doubt"}


@dataclass(frozen=True, slots=True)
class Record:
    """A settled node: its receipt, how it ended, whether the receipt existed before, and its Result in DAG-CBOR.

    A Result that is large stands in a block of its own; `out` is then the encoding of its Link.
    """

    receipt: Link
    state: State
    cached: bool
    out: bytes

    @property
    def flag(self) -> str:
        """One letter: o(k), e(rror), s(kipped), i(n doubt); in upper case when the receipt was found, not made."""
        letter = self.state[0]
        return letter.upper() if self.cached else letter

    @property
    def result(self) -> Value:
        """The Result `{ok}` or `{error}`, or the Link of its block."""
        return decode_own(self.out)

    def pack(self) -> bytes:
        """Return the form that the store keeps."""
        return self.receipt.bytes + self.flag.encode() + self.out

    @classmethod
    def unpack(cls, data: bytes) -> Record:
        """Read what `pack` wrote."""
        state, cached = read_flag(chr(data[_CID_BYTES]))
        return cls(Link(data[:_CID_BYTES]), state, cached, data[_CID_BYTES + 1 :])


def read_flag(flag: str) -> tuple[State, bool]:
    """Return the state that a flag stands for, and whether the receipt was found."""
    return _STATES[flag.lower()], flag.isupper()
