"""Image archives for tests, as `docker save` writes them; their one program is a few bytes of x86-64."""

from __future__ import annotations

import io
import json
import struct
import tarfile
from hashlib import sha256


def program(text: bytes, status: int) -> bytes:
    """Return an ELF program that writes a text and ends with a status."""
    at = 0x400000
    start = 64 + 56
    code = (
        b"\xb8\x01\x00\x00\x00"  # mov eax, 1 (write)
        b"\xbf\x01\x00\x00\x00"  # mov edi, 1
        b"\xbe" + struct.pack("<I", at + start + 34) + b"\xba" + struct.pack("<I", len(text)) + b"\x0f\x05"
        b"\xb8\x3c\x00\x00\x00"  # mov eax, 60 (exit)
        b"\xbf" + struct.pack("<I", status) + b"\x0f\x05"
    )
    assert len(code) == 34
    size = start + len(code) + len(text)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, at + start, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, at, at, size, size, 0x1000)
    return head + segment + code + text


def tar(files: dict[str, bytes]) -> bytes:
    """Return a tar archive of some files."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            archive.addfile(member, io.BytesIO(data))
    return written.getvalue()


def image(
    *,
    text: bytes = b"hello\n",
    status: int = 0,
    name: str = "library/python:latest",
    files: dict[str, bytes] | None = None,
) -> bytes:
    """Return an archive of an image that claims a name: of a program that says a text, or of other files."""
    layer = tar({"hello": program(text, status)} if files is None else files)
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/hello"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer).hexdigest()}"]},
    }
    held = json.dumps(configuration).encode()
    config = f"{sha256(held).hexdigest()}.json"
    manifest = [{"Config": config, "RepoTags": [name], "Layers": ["layer.tar"]}]
    return tar({
        config: held,
        "layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
        "repositories": json.dumps({name.partition(":")[0]: {"latest": "x"}}).encode(),
    })  # fmt: skip
