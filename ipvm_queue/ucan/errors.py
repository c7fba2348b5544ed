"""Every rule of UCAN 1.0 that a token can break, each with its error.

::

    UcanError
      ├── MalformedError                bytes, fields or policies that are no token's
      ├── UnsupportedVersionError       a payload tag other than 1.0.0 and 1.0.0-rc.1
      ├── UnsupportedAlgorithmError     a varsig header other than the three
      ├── UnsupportedDIDError           a DID other than did:key of the three suites
      ├── InvalidSignatureError         not signed by its issuer
      ├── ExpiredError                  after `exp`
      ├── TooEarlyError                 before `nbf`
      ├── UnavailableProofError         a proof is named and not there
      ├── InvalidClaimError             no chain from the subject: no proofs, or a powerline at the root
      ├── InvalidAudienceError          addressed to others, or two proofs of a chain do not meet
      ├── InvalidSubjectError           a proof is about another subject
      ├── ImpossibleAttenuationError    a proof's command does not cover the invoked one
      ├── MatchError                    a policy does not hold
      ├── RevokedError                  a token has been revoked
      ├── ReplayError                   an invocation came twice
      ├── PromisePendingError           args still await other Tasks
      ├── BranchMismatchError           a promise's Task ended on the other branch
      └── MalformedArgumentsError       args are not what the command takes

`name` is the rule's name, the same in every implementation that reads the specification's fixtures; `token` is the
CID of the token that broke it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ipvm_queue.errors import RefusedError

if TYPE_CHECKING:
    from ipvm_queue.ipld import Link


class UcanError(RefusedError):
    """Root of the broken rules."""

    name: ClassVar[str]

    def __init__(self, message: str, *, hint: str | None = None, token: Link | None = None) -> None:
        super().__init__(message, hint=hint, rule=self.name)
        self.token: Link | None = None
        if token is not None:
            self.on(token)

    def on(self, token: Link) -> UcanError:
        """Return the error itself, said of a token; the first that it is said of stays."""
        if self.token is None:
            self.token = token
            self.fields["token"] = str(token)
        return self


class MalformedError(UcanError):
    """Raised when bytes, fields or policies are no token's."""

    name = "Malformed"


class UnsupportedVersionError(UcanError):
    """Raised when a token is of another version of UCAN."""

    name = "UnsupportedVersion"


class UnsupportedAlgorithmError(UcanError):
    """Raised when a token is signed in another way than one of the three."""

    name = "UnsupportedAlgorithm"


class UnsupportedDIDError(UcanError):
    """Raised when a DID is none that can be verified here."""

    name = "UnsupportedDID"


class InvalidSignatureError(UcanError):
    """Raised when a token is not signed by its issuer."""

    name = "InvalidSignature"


class ExpiredError(UcanError):
    """Raised when a token's time is over."""

    name = "Expired"


class TooEarlyError(UcanError):
    """Raised when a token's time has not come."""

    name = "TooEarly"


class UnavailableProofError(UcanError):
    """Raised when a proof is named and not there."""

    name = "UnavailableProof"


class InvalidClaimError(UcanError):
    """Raised when nothing leads from the subject to the invoker."""

    name = "InvalidClaim"


class InvalidAudienceError(UcanError):
    """Raised when a token is addressed to somebody else than who uses it."""

    name = "InvalidAudience"


class InvalidSubjectError(UcanError):
    """Raised when a proof is about another subject."""

    name = "InvalidSubject"


class ImpossibleAttenuationError(UcanError):
    """Raised when a proof's command does not cover the invoked one."""

    name = "ImpossibleAttenuation"


class MatchError(UcanError):
    """Raised when a policy does not hold for the args."""

    name = "MatchError"


class RevokedError(UcanError):
    """Raised when a token has been revoked."""

    name = "Revoked"


class ReplayError(UcanError):
    """Raised when an invocation comes a second time."""

    name = "Replay"


class PromisePendingError(UcanError):
    """Raised when args still await other Tasks."""

    name = "PromisePending"


class BranchMismatchError(UcanError):
    """Raised when a promise's Task ended on the other branch."""

    name = "BranchMismatch"


class MalformedArgumentsError(UcanError):
    """Raised when args are not what the command takes."""

    name = "MalformedArguments"
