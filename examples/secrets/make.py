"""Be the operator of a worker: give it a password and a key for jobs, and write job.json, which has a sealed letter."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

from ipvm_queue.crypto import Signer, load_signer, save_signer, seal

HERE = Path(__file__).resolve().parent
OWN = HERE / "own"  # what jobs and queue never see
LETTER = b"Meet me at noon."


def main() -> None:
    """Write all of it."""
    (OWN / "shop").mkdir(parents=True, exist_ok=True)
    (OWN / "shop" / "OWNER").write_text("Boris\n")
    path = OWN / "keys" / "letters.pem"
    key = load_signer(path) if path.exists() else save_signer(Signer.generate("P-256"), path)
    (OWN / "effects.toml").write_text(f'[secrets]\nfiles = "{OWN}"\n\n[keys]\ndirectory = "{path.parent}"\n')
    box = b64encode(seal(key.did, LETTER)).decode().rstrip("=")
    jobs = {
        "owner": {"type": "ipvm/effect", "with": "ipvm:secret:shop?secret=OWNER", "do": "secret/get"},
        "fullName": {
            "type": "wasm/1.0",
            "with": "file:../guests/full-name.wasm",
            "input": [{"firstName": {"from": "owner"}}, {"lastName": "Mann"}],
        },
        "length": {
            "type": "wasm/1.0",
            "with": "file:../guests/count.wasm",
            "func": "count",
            "input": [{"name": {"from": "fullName"}}],
            "public": True,
        },
        "letter": {
            "type": "ipvm/effect",
            "with": key.did,
            "do": "crypto/decrypt",
            "value": {"/": {"bytes": box}},
        },
    }
    (HERE / "job.json").write_text(json.dumps(jobs, indent=2) + "\n")
    print(f"job.json: {len(jobs)} jobs, the letter is sealed to did:key:zDn…")


if __name__ == "__main__":
    main()
