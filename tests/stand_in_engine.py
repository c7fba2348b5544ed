"""A stand-in for a container engine's client, where there is no engine: a real program on PATH, for tests.

It keeps what it is told in $HOME, and runs a container's command on this machine, in the folder that is its `/work`: so
it shows how the client is called and what is made of its answers, and nothing about isolation.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

KEPT = Path(os.environ["HOME"])


def main(command: str, *rest: str) -> int:  # noqa: PLR0912 - a command a case
    """Do one command."""
    with (KEPT / "calls").open("a") as calls:
        calls.write(json.dumps([command, *rest, sorted(os.environ)]) + "\n")
    words = [word for word in rest if not word.startswith("-")]
    match command, *words:
        case "info", *_:
            sys.stdout.write((KEPT / "rootless").read_text() if (KEPT / "rootless").exists() else "true")
        case "image", "inspect", *_:
            return int(not (KEPT / f"image-{rest[-1]}").exists())
        case "load", archive:
            with tarfile.open(archive) as file:
                (manifest,) = json.load(file.extractfile("manifest.json"))
            (KEPT / "tags").write_text(json.dumps(manifest["RepoTags"]))
            (KEPT / f"image-sha256:{manifest['Config'].removesuffix('.json')}").touch()
        case "create", *_:
            return create(list(rest))
        case "start", name:
            return start(KEPT / f"{name}.json")
        case "ps", *_:
            for path in KEPT.glob("ipvm-*.json"):
                held = json.loads(path.read_text())
                if held["status"] == "running":
                    print_labels(path.stem, held["options"]["--label"])
        case "kill", _, name:
            os.killpg(json.loads((KEPT / f"{name}.json").read_text())["pid"], signal.SIGKILL)
        case "container", "inspect", *_:
            return inspect(KEPT / f"{rest[-1]}.json")
        case "logs", name:
            held = json.loads((KEPT / f"{name}.json").read_text())
            sys.stdout.write(held["out"])
        case "rm", name:
            (KEPT / f"{name}.json").unlink()
        case "container", "prune", *_:
            pass
        case _:
            return 125
    return 0


def print_labels(name: str, labels: list[str]) -> None:
    """Print a container's name and labels."""
    sys.stdout.write(f"{name} {','.join(labels)}\n")


def create(rest: list[str]) -> int:
    """Keep a container: its options, then the image, then its command."""
    options, flags = {}, {"--interactive", "--read-only"}
    while rest[0].startswith("-"):
        flag = rest.pop(0)
        options.setdefault(flag, []).append(True if flag in flags else rest.pop(0))
    path = KEPT / f"{options['--name'][0]}.json"
    if path.exists():
        sys.stderr.write("the name is already in use")
        return 125
    env = dict(line.split("=", 1) for line in Path(options["--env-file"][0]).read_text().splitlines())
    held = {"image": rest[0], "command": rest[1:], "options": options, "env": env, "status": "created", "code": 0}
    path.write_text(json.dumps(held))
    return 0


def start(path: Path) -> int:
    """Run a container's command here, to its end."""
    held = json.loads(path.read_text())
    entry = held["options"].get("--entrypoint", [])
    folder = held["options"]["--volume"][0].split(":")[0]
    process = subprocess.Popen(
        [*entry, *held["command"]], cwd=folder, env=held["env"], stdout=subprocess.PIPE, start_new_session=True
    )
    path.write_text(json.dumps(held | {"status": "running", "pid": process.pid}))
    out = bytearray()
    while data := process.stdout.read1(65536):
        out += data
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    code = process.wait()
    path.write_text(json.dumps(held | {"status": "exited", "code": code, "out": out.decode(errors="replace")}))
    return code


def inspect(path: Path) -> int:
    """Print a container's state."""
    if not path.exists():
        return 1
    held = json.loads(path.read_text())
    sys.stdout.write(json.dumps({"Status": held["status"], "ExitCode": held["code"], "OOMKilled": False}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
