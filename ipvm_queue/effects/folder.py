"""A folder of a guest's own: what a job puts into it, and what it takes out of it as blocks; then it is gone."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.contract import Context, EffectError
from ipvm_queue.errors import BlockError
from ipvm_queue.ipld import Link, to_json
from ipvm_queue.wasm.tree import remove

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ipvm_queue.ipld import Value

CONTENT: Final[dict[str, Any]] = {}
"""Schema of what `content` reads: text, bytes, the CID of a block, a guest's result, or any value."""
_MAX_NAME: Final = 256
_MAX_PART: Final = 255  # bytes that file systems take between two slashes
NAME: Final = {"type": "string", "maxLength": _MAX_NAME}
FILES: Final = {"type": "object"}
OUTPUTS: Final = {"type": "array", "items": NAME, "maxItems": 256}
_MAX_FILES: Final = 4096
_RESULT: Final = frozenset({"exit", "files", "stderr", "stdout"})


def is_inside(path: str) -> bool:
    """Whether a path is relative, stays where it begins, and may be one in a file system."""
    if not path.isprintable() or len(path) > _MAX_NAME:
        return False
    return all(part not in ("", ".", "..") and len(part.encode()) <= _MAX_PART for part in path.split("/"))


def check_paths(args: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the paths in `files` and `outputs`."""
    for path in (*given(args), *args.get("outputs", ())):
        if isinstance(path, str) and not is_inside(path):
            return f"{path[:80]!r} is no path inside the folder, of names of 1 to {_MAX_PART} bytes"
    return None


def given(args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what shall be put into the folder, by path: `files`, or those of another guest's result."""
    files: Mapping[str, Any] = args.get("files", {})
    return files["files"] if files.keys() == _RESULT and isinstance(files["files"], dict) else files


def content(context: Context, value: Any) -> bytes:
    """Return what an argument says as bytes; raises `EffectError`.

    Text and bytes as they are, a block by its CID, of another guest's result its output, everything else as DAG-JSON.
    """
    if isinstance(value, dict) and value.keys() == _RESULT:
        value = value["stdout"]
    if isinstance(value, Link):
        try:
            return context.blocks.get(value)
        except BlockError as error:
            raise EffectError("block/missing", error.message, "requestor", sent=False) from error
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else to_json(value)).encode(errors="replace")


@contextmanager
def folder(context: Context, files: Mapping[str, Any], most: int) -> Iterator[Path]:
    """Make a folder with some files in it; raises `EffectError` where they have more than `most` bytes."""
    if len(files) > _MAX_FILES:
        raise EffectError(
            "folder/too-many", f"at most {_MAX_FILES} files are put into a folder", "requestor", sent=False
        )
    own = Path(tempfile.mkdtemp(prefix="ipvm-"))
    try:
        root = own / "work"
        root.mkdir()
        left = most
        for path, value in files.items():
            data = content(context, value)
            left -= len(data)
            if left < 0:
                raise EffectError("folder/too-large", f"the files have more than {most} bytes", "requestor", sent=False)
            try:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(data)
            except OSError as error:
                message = f"{path!r} cannot be put into the folder: {error.strerror}"
                raise EffectError("folder/path", message, "requestor", sent=False) from error
        yield root
    finally:
        remove(own)


def collect(context: Context, root: Path, paths: Iterable[str], most: int) -> dict[str, Value]:
    """Store files of a folder as blocks and return their CIDs by path; raises `EffectError`.

    Whoever filled the folder is a stranger: only regular files that really are inside it are read.
    """
    found: dict[str, Value] = {}
    left = min(most, context.settings.max_block_bytes)
    for path in paths:
        try:
            data = _read(root, path, left + 1)
        except (OSError, RuntimeError) as error:  # before Python 3.13, links in a circle are a RuntimeError
            message = f"there is no file {path!r} in the folder that can be read"
            raise EffectError("folder/no-output", message, "requestor") from error
        left -= len(data)
        if left < 0:
            raise EffectError("folder/too-large", f"the outputs have more than {most} bytes", "requestor")
        found[path] = context.blocks.put(data)
    return found


def _read(root: Path, path: str, most: int) -> bytes:
    """Return up to so many bytes of a file in a folder; raises `OSError` or `RuntimeError` where there is none."""
    place = (root / path).resolve()
    if not place.is_relative_to(root.resolve()) or not S_ISREG(place.stat().st_mode):
        raise FileNotFoundError(path)
    with place.open("rb") as file:
        return file.read(most)
