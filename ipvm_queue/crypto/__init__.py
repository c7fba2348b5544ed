"""Keys: did:key identities, signers and verifiers of three suites, varsig headers, sealed boxes."""

from ipvm_queue.crypto.files import load_signer, save_signer
from ipvm_queue.crypto.sealed import MAX_RECIPIENTS, check_recipient, is_sealed, open_sealed, recipients_of, seal
from ipvm_queue.crypto.signer import Signer
from ipvm_queue.crypto.suites import SUITES, Suite, principal, suite_of_header, verify

__all__ = [
    "MAX_RECIPIENTS",
    "SUITES",
    "Signer",
    "Suite",
    "check_recipient",
    "is_sealed",
    "load_signer",
    "open_sealed",
    "principal",
    "recipients_of",
    "save_signer",
    "seal",
    "suite_of_header",
    "verify",
]
