"""What a pure guest may ask of its host: content-addressed blocks, a log that goes nowhere, a place to panic into.

Each call of a host function costs `CALL_GAS`, and one gas for each byte that crosses. A block is named by its CID, so
reading one is as pure as reading an argument. A block that is not there ends the call: whether it is there must not be
visible to the guest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.errors import CodecError, IpvmError, LostBlockError, MissingBlockError
from ipvm_queue.ipld import Link
from ipvm_queue.wasm.faults import gas_exhausted
from ipvm_queue.wasm.outcome import CallError
from ipvm_queue.wasm.store import charge

if TYPE_CHECKING:
    from collections.abc import Callable

CALL_GAS: Final = 1_000
MAX_CID_BYTES: Final = 128
_STDERR_BYTES: Final = 4096


def charge_call(context: Any) -> None:
    """Take the gas of a host call from the store that is running; raises `CallError` where it has not that much."""
    charge_bytes(context, CALL_GAS)


def charge_bytes(context: Any, count: int) -> None:
    """Take the gas for bytes that cross; raises `CallError` where the store has not that much."""
    if not charge(context, count):
        raise gas_exhausted()


class Host:
    """The host side of the call that is running; an executor has one, and one call at a time."""

    def __init__(self, get_block: Callable[[Link], bytes]) -> None:
        self._get_block = get_block
        self._stderr = bytearray()
        self.failure: CallError | None = None

    def begin(self) -> None:
        """Forget the call before."""
        self.failure = None
        self._stderr.clear()

    def read(self, link: Link) -> bytes:
        """Return a block; raises `CallError`."""
        try:
            return self._get_block(link)
        except MissingBlockError as error:
            raise CallError("missing-block", f"the block {link} is not in the store", "requestor", cid=link) from error
        except LostBlockError as error:  # it was resolved to a handle: the runner has promised it (effects 3)
            raise CallError("lost-block", error.message, "runner", cid=link) from error
        except IpvmError as error:
            raise CallError("host", f"the block {link} could not be read: {error.message}", "runner") from error
        except Exception as error:
            raise CallError("host", f"the block {link} could not be read: {error!r}", "runner") from error

    def read_for_guest(self, context: Any, cid: bytes | str) -> bytes:
        """Return a block to the guest whose store is `context`, for gas; raises `CallError`."""
        try:
            link = Link.parse(cid) if isinstance(cid, str) else Link(cid)
        except CodecError as error:
            raise CallError(
                "bad-cid", f"the guest asked for a block by {error.message}", "guest", cacheable=True
            ) from error
        data = self.read(link)
        charge_bytes(context, len(data))
        return data

    @property
    def stderr_room(self) -> int:
        """How many bytes of the guest's last words are still kept."""
        return _STDERR_BYTES - len(self._stderr)

    def write_stderr(self, data: bytes) -> None:
        """Keep what a guest says before it dies; the first few kilobytes."""
        self._stderr += data[: self.stderr_room]

    def explain(self, failure: CallError) -> CallError:
        """Return the failure that really ended the call, with the guest's last words."""
        cause = self.failure or failure
        if self._stderr:
            cause.fields["stderr"] = self._stderr.decode(errors="replace")
        return cause
