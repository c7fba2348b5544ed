"""What a run keeps of a settled node: the receipt's CID, a flag, and the Result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from ipvm_queue.ipld import Link, decode_own

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value

State: TypeAlias = Literal["ok", "error", "skipped", "in-doubt"]
FAILED: Final[tuple[State, ...]] = ("error", "in-doubt")
CID_BYTES: Final = 36
_LETTERS: Final[dict[tuple[State, bool], str]] = {
    ("ok", True): "o",
    ("ok", False): "p",
    ("error", True): "e",
    ("error", False): "f",
    ("skipped", False): "s",
    ("in-doubt", False): "i",
}
_READ: Final = {letter: key for key, letter in _LETTERS.items()}
_FLAGS: Final = {
    (*key, cached): (letter.upper() if cached else letter).encode()
    for key, letter in _LETTERS.items()
    for cached in (False, True)
}


class Record(NamedTuple):
    """A settled node: its receipt, how it ended, whether the receipt existed before, and its Result in DAG-CBOR.

    A Result that is large stands in a block of its own; `out` is then the encoding of its Link. It is `lasting` where
    the Task that stands in the plan, with its promises, comes to it whenever it is run: not where a branch was not
    taken, time was up or a worker failed, there or further up.
    """

    receipt: Link
    state: State
    cached: bool
    out: bytes
    lasting: bool = False

    @property
    def result(self) -> Value:
        """The Result `{ok}` or `{error}`, or the Link of its block."""
        return decode_own(self.out)

    def pack(self) -> bytes:
        """Return the form that the store keeps.

        Behind the receipt's CID stands a letter: o(k), e(rror), where not lasting p and f, s(kipped), i(n doubt); a
        capital where it was found.
        """
        return self.receipt.bytes + _FLAGS[self.state, self.lasting, self.cached] + self.out

    @classmethod
    def unpack(cls, data: bytes) -> Record:
        """Read what `pack` wrote."""
        flag = chr(data[CID_BYTES])
        state, lasting = _READ[flag.lower()]
        return cls(Link(data[:CID_BYTES]), state, flag.isupper(), data[CID_BYTES + 1 :], lasting)
