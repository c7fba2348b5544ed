"""Keys: did:key identities, signers and verifiers of three suites, varsig headers."""

from ipvm_queue.crypto.files import load_signer, save_signer
from ipvm_queue.crypto.signer import Signer
from ipvm_queue.crypto.suites import SUITES, Suite, principal, suite_of_header, verify

__all__ = ["SUITES", "Signer", "Suite", "load_signer", "principal", "save_signer", "suite_of_header", "verify"]
