#!/usr/bin/env python3
"""Run what the documents tell a reader to run, as written.

Every `sh` block of examples/*/README.md, and every `sh` block of README.md and docs/*.md that stands under a line
`<!-- run -->`, is given to `sh -eu` in the root of the project, in order, with one home directory a document. The first
block that fails ends its document; the exit code says whether any did.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^(?P<run><!-- run -->\n+)?```sh\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LIMIT = 300  # seconds a block


def blocks(document: Path) -> list[str]:
    """Return the shell blocks of a document that are to be run."""
    every = document.parent.parent.name == "examples"
    return [match["body"] for match in BLOCK.finditer(document.read_text()) if every or match["run"]]


def run(document: Path) -> bool:
    """Run a document's blocks; say what failed and how."""
    with tempfile.TemporaryDirectory(prefix="ipvm-docs-") as home:
        environment = {
            **os.environ,
            "HOME": home,
            "XDG_CONFIG_HOME": f"{home}/.config",
            "XDG_CACHE_HOME": f"{home}/.cache",
        }
        for body in blocks(document):
            start = time.monotonic()
            command = ["sh", "-euc", body]
            try:
                done = subprocess.run(
                    command,
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=LIMIT,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                print(f"FAILED {document.relative_to(ROOT)}: longer than {LIMIT} s\n{body}")
                return False
            if done.returncode:
                print(f"FAILED {document.relative_to(ROOT)}: exit {done.returncode}\n{body}")
                print(done.stdout.decode(errors="replace")[-4000:] + done.stderr.decode(errors="replace")[-4000:])
                return False
            print(f"ok {document.relative_to(ROOT)} {time.monotonic() - start:.1f} s: {body.strip().splitlines()[0]}")
    return True


def main() -> int:
    """Run every document; 1 when one of them failed."""
    documents = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("examples/*/README.md"))]
    passed = [run(document) for document in documents]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
