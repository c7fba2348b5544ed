"""Every error a user can meet.

::

    IpvmError
      ├── UsageError                 2  a flag, a setting or an argument is wrong
      │     └── KeyFileError         2  a key file cannot be read or used
      ├── DocumentError              2  a job document has faults (all of them listed)
      │     └── SignatureError       2  a signature does not verify
      ├── ModuleError              2  bytes that are no Wasm module we run, or a call that does not fit it
      ├── CodecError                 2  bytes that are not what they claim to be
      │     ├── LimitError           2  bytes that are too many or too deep
      │     └── SealError            2  a sealed box that is none, or was altered
      │           └── WrongKeyError  2  a sealed box that is for others
      ├── BlockError                 2  a block is wrong
      │     ├── MissingBlockError    2  a block is not in the store
      │     └── LostBlockError       2  a block that was guaranteed is not in the store any more
      ├── RefusedError               3  the queue refused the work
      ├── InDoubtError               4  a destructive effect may or may not have happened
      ├── WaitTimeoutError           5  the wait ended before the run did
      └── UnavailableError           6  the broker or every worker is away

Each error says what was wrong, where, and what to do (`hint`); `fields` carries the same for machines. The number is
the exit code of the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


class IpvmError(Exception):
    """Root of all errors a user can meet."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields = fields

    def as_dict(self) -> dict[str, Any]:
        """Return `{code, message, hint?, …fields}`, the form that `--json` prints."""
        hint = {} if self.hint is None else {"hint": self.hint}
        return {"code": self.code, "message": self.message, **hint, **self.fields}


class UsageError(IpvmError):
    """Raised when a flag, a setting or an argument is wrong."""

    code = "usage"
    exit_code = 2


class KeyFileError(UsageError):
    """Raised when a key file cannot be read, written or used."""

    code = "key"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a document: what, and where.

    `path` is the JSON path (`jobs.count.input[0]`), `line` and `column` count from 1 and are None where the document
    is DAG-CBOR, `excerpt` is the source line.
    """

    code: str
    message: str
    path: str = ""
    line: int | None = None
    column: int | None = None
    excerpt: str | None = None
    hint: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that are set."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value not in (None, "")}


class DocumentError(IpvmError):
    """Raised when a document has faults; `faults` holds every one that was found."""

    code = "document"
    exit_code = 2

    def __init__(self, faults: list[Fault], *, name: str = "document") -> None:
        first = faults[0]
        message = first.message if len(faults) == 1 else f"{len(faults)} faults in {name}; the first: {first.message}"
        super().__init__(message, hint=first.hint, faults=[fault.as_dict() for fault in faults])
        self.faults = faults
        self.name = name


class SignatureError(DocumentError):
    """Raised when a signature does not verify or its signer is not who it claims to be."""

    code = "signature"

    def __init__(self, message: str, *, path: str = "signature", hint: str | None = None) -> None:
        super().__init__([Fault("signature", message, path=path, hint=hint)])


class ModuleError(IpvmError):
    """Raised when bytes are no Wasm module that can be run, or a call does not fit what the module exports."""

    code = "module"
    exit_code = 2


class CodecError(IpvmError):
    """Raised when bytes or text are not valid DAG-CBOR, DAG-JSON, CAR, CID or DID."""

    code = "codec"
    exit_code = 2


class LimitError(CodecError):
    """Raised when something from outside is larger or deeper than its limit."""

    code = "limit"


class SealError(CodecError):
    """Raised when bytes are no sealed box, or one that was altered or is for another purpose."""

    code = "sealed"


class WrongKeyError(SealError):
    """Raised when a box is sealed to other keys; `recipients` names them."""

    code = "wrong-key"


class BlockError(IpvmError):
    """Raised when a block's bytes do not hash to its CID."""

    code = "block"
    exit_code = 2


class MissingBlockError(BlockError):
    """Raised when a block is needed and not in the store."""

    code = "missing-block"


class LostBlockError(BlockError):
    """Raised when a block that the queue has guaranteed (by `handle/resolve`) is not in the store any more."""

    code = "lost-block"


class RefusedError(IpvmError):
    """Raised when the queue refuses the work; `rule` names what was broken."""

    code = "refused"
    exit_code = 3


class InDoubtError(IpvmError):
    """Raised when a destructive effect may or may not have happened."""

    code = "in-doubt"
    exit_code = 4


class WaitTimeoutError(IpvmError):
    """Raised when the wait ended before the run did; the run goes on."""

    code = "timeout"
    exit_code = 5


class UnavailableError(IpvmError):
    """Raised when the broker, or every worker, cannot be reached."""

    code = "unavailable"
    exit_code = 6
