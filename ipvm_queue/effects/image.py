"""Container images by content: `docker:CID`, `docker:1:CID`, `oci:CID`, `ipfs://CID`, `docker://NAME@sha256:HEX`.

A CID names a block that is an image archive (`docker save`, `podman save`). An archive also says what its image shall
be called here, and would so take the name of another: it is loaded without names, and known by its configuration's
digest alone.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from hashlib import sha256
from typing import Final, NamedTuple

from ipvm_queue.effects.contract import EffectError
from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import Link

_BY_CID: Final = re.compile(r"(?:docker|oci):(?:1:)?(?P<cid>[A-Za-z0-9]+)")
_BY_DIGEST: Final = re.compile(r"docker://(?P<name>[a-z0-9][a-z0-9._:/-]{0,200})@(?P<digest>sha256:[0-9a-f]{64})")
_MANIFEST: Final = "manifest.json"
_NAMES: Final = frozenset({_MANIFEST, "repositories", "index.json", "oci-layout"})
_MAX_JSON: Final = 1 << 20
_MAX_MEMBERS: Final = 4096


class Image(NamedTuple):
    """An image that a URI names: the archive in a block, or a name with its digest."""

    archive: Link | None
    name: str | None


def image_of(uri: str) -> Image:
    """Return the image that a URI names; raises `CodecError`."""
    found = _BY_DIGEST.fullmatch(uri)
    if found is not None:
        return Image(None, f"{found['name']}@{found['digest']}")
    if uri.startswith("ipfs://"):
        return Image(Link.parse(uri), None)
    found = _BY_CID.fullmatch(uri)
    if found is None:
        raise CodecError("docker:CID, oci:CID, ipfs://CID or docker://NAME@sha256:… is expected")
    return Image(Link.parse(found["cid"]), None)


def without_names(data: bytes) -> tuple[str, bytes]:
    """Return an archive's image ID (`sha256:…`) and the archive without names; raises `EffectError`."""
    try:
        return _without_names(data)
    except (tarfile.TarError, ValueError, KeyError, TypeError, EOFError, RecursionError) as error:
        message = f"the block is no image archive as docker save writes it: {str(error)[:200]}"
        raise EffectError("container/no-image", message, "requestor", sent=False) from error


def _without_names(data: bytes) -> tuple[str, bytes]:
    written = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as source:
        members = _members(source)
        (manifest,) = json.loads(_content(source, members[_MANIFEST]))
        configuration = _content(source, members[manifest["Config"]])
        digest = f"sha256:{sha256(configuration).hexdigest()}"
        kept = json.dumps([{"Config": manifest["Config"], "RepoTags": None, "Layers": manifest["Layers"]}]).encode()
        with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as target:
            for name, member in members.items():
                if name not in _NAMES:
                    target.addfile(member, source.extractfile(member) if member.isfile() else None)
            head = tarfile.TarInfo(_MANIFEST)
            head.size = len(kept)
            target.addfile(head, io.BytesIO(kept))
    return digest, written.getvalue()


def _members(source: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    found: dict[str, tarfile.TarInfo] = {}
    for member in source:
        name = member.name.removeprefix("./")
        if len(found) >= _MAX_MEMBERS or name in found or name.startswith("/") or ".." in name.split("/"):
            raise ValueError("too many files in it, one twice, or one outside of it")
        if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
            raise ValueError(f"{name!r} is no file")
        found[name] = member
    return found


def _content(source: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = source.extractfile(member) if member.isfile() and member.size <= _MAX_JSON else None
    if file is None:
        raise ValueError(f"{member.name!r} is not a file of at most {_MAX_JSON} bytes")
    return file.read()
