#!/usr/bin/env python3
"""Run what the documents tell a reader to run, as written, and compare what comes out.

Every `sh` block of examples/*/README.md, and every `sh` block of README.md and docs/*.md that stands under a line
`<!-- run -->`, is given to `sh -eu` in the root of the project, in order, with one home directory a document. A `text`
block right after it is what it must print. The first block that fails ends its document; the exit code says whether
any did. Names of documents choose which are run. What a block leaves running (`command > log 2>&1 &`) ends with its
document.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(
    r"^(?P<run> *<!-- run -->\n+)?(?P<in> *)```sh\n(?P<body>.*?)^(?P=in)```\n"
    r"(?:\n*(?P=in)```text\n(?P<output>.*?)^(?P=in)```\n)?",
    re.MULTILINE | re.DOTALL,
)
LIMIT = 300  # seconds a block


def blocks(document: Path) -> list[tuple[str, str | None]]:
    """Return the shell blocks of a document that are to be run, each with what it must print."""
    every = document.parent.parent.name == "examples"
    found = [match for match in BLOCK.finditer(document.read_text()) if every or match["run"]]
    return [(textwrap.dedent(match["body"]), match["output"] and textwrap.dedent(match["output"])) for match in found]


def fault(body: str, output: str | None, home: str, started: list[int]) -> str | None:
    """Run a block in a session of its own, noted in `started`; return what is wrong with it, None if nothing."""
    xdg = {"XDG_CONFIG_HOME": ".config", "XDG_DATA_HOME": ".local/share", "XDG_CACHE_HOME": ".cache"}
    environment = {**os.environ, "HOME": home, **{name: f"{home}/{path}" for name, path in xdg.items()}}
    with subprocess.Popen(
        ["sh", "-euc", body],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        started.append(process.pid)
        try:
            printed, said = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            end(process.pid, signal.SIGKILL)
            return f"longer than {LIMIT} s"
    if process.returncode:
        return f"exit {process.returncode}\n{printed[-4000:]}{said[-4000:]}"
    if output is not None and printed != output:
        return f"it printed\n{printed[-4000:]}{said[-4000:]}instead of\n{output}"
    return None


def end(session: int, how: signal.Signals) -> None:
    """Send a signal to what a block has left running."""
    with suppress(ProcessLookupError):
        os.killpg(session, how)


def run(document: Path) -> bool:
    """Run a document's blocks in order; say how it went."""
    name = document.relative_to(ROOT)
    started: list[int] = []
    with tempfile.TemporaryDirectory(prefix="ipvm-docs-", ignore_cleanup_errors=True) as home:
        try:
            for body, output in blocks(document):
                start = time.monotonic()
                if wrong := fault(body, output, home, started):
                    print(f"FAILED {name}: {wrong}\n{body}", flush=True)
                    return False
                print(f"ok {name} ({time.monotonic() - start:.1f} s): {body.splitlines()[0]}", flush=True)
        finally:
            for session in started:
                end(session, signal.SIGKILL)
    return True


def main() -> int:
    """Run the documents; 1 when one of them failed."""
    documents = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("examples/*/README.md"))]
    if chosen := [Path(name).resolve() for name in sys.argv[1:]]:
        documents = [document for document in documents if document in chosen]
    passed = [run(document) for document in documents]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
