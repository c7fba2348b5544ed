"""UCAN 1.0: delegations, invocations, policies, proof chains, revocations, containers, promises and receipts."""

from ipvm_queue.ucan.command import Command
from ipvm_queue.ucan.container import Container, Encoding
from ipvm_queue.ucan.delegation import Delegation
from ipvm_queue.ucan.envelope import Envelope, seal, unseal
from ipvm_queue.ucan.errors import (
    BranchMismatchError,
    ExpiredError,
    ImpossibleAttenuationError,
    InvalidAudienceError,
    InvalidClaimError,
    InvalidSignatureError,
    InvalidSubjectError,
    MalformedArgumentsError,
    MalformedError,
    MatchError,
    PromisePendingError,
    ReplayError,
    RevokedError,
    TooEarlyError,
    UcanError,
    UnavailableProofError,
    UnsupportedAlgorithmError,
    UnsupportedDIDError,
    UnsupportedVersionError,
)
from ipvm_queue.ucan.invocation import Invocation
from ipvm_queue.ucan.policy import Policy
from ipvm_queue.ucan.promise import PromiseError, awaited, form, is_promise, resolve
from ipvm_queue.ucan.receipt import Receipt, issue, read
from ipvm_queue.ucan.replay import MemoryReplays, Replays
from ipvm_queue.ucan.revocation import Revocation, read_revocation, revoke
from ipvm_queue.ucan.selector import Selector
from ipvm_queue.ucan.task import WASM_RUN, task_link
from ipvm_queue.ucan.token import Token
from ipvm_queue.ucan.validator import Authority, Validator
from ipvm_queue.ucan.window import LEEWAY

__all__ = [
    "LEEWAY",
    "WASM_RUN",
    "Authority",
    "BranchMismatchError",
    "Command",
    "Container",
    "Delegation",
    "Encoding",
    "Envelope",
    "ExpiredError",
    "ImpossibleAttenuationError",
    "InvalidAudienceError",
    "InvalidClaimError",
    "InvalidSignatureError",
    "InvalidSubjectError",
    "Invocation",
    "MalformedArgumentsError",
    "MalformedError",
    "MatchError",
    "MemoryReplays",
    "Policy",
    "PromiseError",
    "PromisePendingError",
    "Receipt",
    "ReplayError",
    "Replays",
    "Revocation",
    "RevokedError",
    "Selector",
    "Token",
    "TooEarlyError",
    "UcanError",
    "UnavailableProofError",
    "UnsupportedAlgorithmError",
    "UnsupportedDIDError",
    "UnsupportedVersionError",
    "Validator",
    "awaited",
    "form",
    "is_promise",
    "issue",
    "read",
    "read_revocation",
    "resolve",
    "revoke",
    "seal",
    "task_link",
    "unseal",
]
