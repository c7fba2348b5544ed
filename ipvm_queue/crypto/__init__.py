"""Keys: did:key identities, Ed25519 signers and verifiers, varsig headers."""

from ipvm_queue.crypto.ed25519 import Signer, verify
from ipvm_queue.crypto.files import load_signer, save_signer

__all__ = ["Signer", "load_signer", "save_signer", "verify"]
