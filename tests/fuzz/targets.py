"""What is fuzzed: every reader of bytes from strangers, each behind its number in the first byte."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from principals import principal

from ipvm_queue.crypto import open_sealed, recipients_of
from ipvm_queue.crypto.libp2p import verify_peer, write_key
from ipvm_queue.effects import EffectError
from ipvm_queue.effects.drand_chain import CHAINED, ON_G1, Beacon, read_beacon, read_chain
from ipvm_queue.effects.image import without_names
from ipvm_queue.effects.ipns_record import read_name, read_record
from ipvm_queue.errors import CodecError, ModuleError
from ipvm_queue.ipld import Link, decode, write_protobuf
from ipvm_queue.ucan import Container, Delegation, Encoding, Invocation, Policy, Selector, UcanError, Validator
from ipvm_queue.ucan.classic import walk
from ipvm_queue.ucan.glob import Glob
from ipvm_queue.ucan.jwt import HEADER, Jwt, encode_part
from ipvm_queue.ucan.meter import Meter
from ipvm_queue.wasm import inspect

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_800_000_000
QUEUE = principal("queue")
_HEAD = b"\x82\x58\x40" + bytes(64)


def invocation(data: bytes) -> None:
    """Validate an invocation that brings its proofs along: a container whose first token it is."""
    tokens = Container.read(data).tokens
    for token in tokens.values():
        authority = Validator().invocation(token, tokens, now=NOW)
        authority.authorise(authority.invocation.args)


def payload(data: bytes) -> None:
    """Read a payload whose signature is not looked at, as an invocation and as a delegation."""
    read = 0
    for parse in (Invocation.parse, Delegation.parse):
        try:
            token = parse(_HEAD + data)
        except UcanError:
            continue
        read += 1
        assert token.data == _HEAD + data
        assert str(token)
    assert read < 2, "one token is both an invocation and a delegation"


def container(data: bytes) -> None:
    """Read a container; what is written again reads back the same, in every encoding."""
    found = Container.read(data)
    for encoding in Encoding:
        try:
            assert Container.read(found.write(encoding)).tokens == found.tokens
        except UcanError as error:
            assert "at most" in error.message  # noqa: PT017 - base64 may make it longer than it may be


def policy(data: bytes) -> None:
    """Judge args by a policy, both in one list; what is decided with promises open is decided without."""
    match decode(data):
        case [source, args]:
            parsed = Policy.parse(source)
            for promises in (True, False):
                assert parsed.judge(args, Meter(10_000, promises=promises)) in (True, False, None)


def selector(data: bytes) -> None:
    """Read a selector, and match a glob against the text behind it."""
    pattern, _, text = data.decode(errors="replace").partition("\0")
    assert Glob.parse(pattern.replace("\\", "").replace("*", "")).matches(pattern.replace("\\", "").replace("*", ""))
    Glob.parse(pattern).matches(text)
    assert str(Selector.parse(pattern)) == pattern


def jwt(data: bytes) -> None:
    """Read a JWT of UCAN 0.8.1 as it is; its text is the only one of its token."""
    assert Jwt.parse(data.decode(errors="replace")).text.encode() == data


def classic(data: bytes) -> None:
    """Walk a JWT whose payload this is, well signed by the queue."""
    signed = f"{encode_part(json.dumps(HEADER).encode())}.{encode_part(data)}"
    text = f"{signed}.{encode_part(QUEUE.sign(signed.encode()))}"
    found = walk(text, QUEUE.did, now=NOW)
    assert found.chain[0].iss == QUEUE.did
    assert found.holder != QUEUE.did
    assert found.exp > NOW


def sealed(data: bytes) -> None:
    """Open a sealed box as one of its readers."""
    open_sealed(QUEUE, data)
    assert QUEUE.did in recipients_of(data)


def record(data: bytes) -> None:
    """Read an IPNS record whose data this is, well signed by the queue; then as the record itself."""
    public = write_key(QUEUE.private_key.public_key())
    name = read_name(str(Link(b"\x01\x72\0" + bytes([len(public)]) + public)))
    now = datetime.fromtimestamp(NOW, UTC)
    signed = write_protobuf({8: QUEUE.sign(b"ipns-signature:" + data), 9: data})
    found = read_record(signed, name, now)
    assert found.until > now
    assert found.sequence >= 0
    with contextlib.suppress(EffectError):
        read_record(data, name, now)


def peer(data: bytes) -> None:
    """Verify under a key of libp2p."""
    verify_peer(data, bytes(64), b"data")


def beacon(data: bytes) -> None:
    """Read what a drand relay says, as a chain and as a round; what is verified is one of its scheme."""
    pinned, _, given = data.partition(b"\0")
    chain = read_chain(given, pinned.decode(errors="replace"))
    assert chain.scheme in (CHAINED, ON_G1)
    assert not chain.verifies(Beacon(1, bytes(48), b""))
    with contextlib.suppress(EffectError):
        read_beacon(given)


def archive(data: bytes) -> None:
    """Read an image archive; without its names it reads the same, and names nothing."""
    digest, kept = without_names(data)
    assert without_names(kept) == (digest, kept)


def wasm(data: bytes) -> None:
    """Look at a module."""
    info = inspect(data)
    assert all(isinstance(name, str) for name in info.functions)


TARGETS: list[Callable[[bytes], None]] = [
    invocation,
    payload,
    container,
    policy,
    selector,
    jwt,
    classic,
    sealed,
    record,
    peer,
    beacon,
    archive,
    wasm,
]


def one_input(data: bytes) -> None:
    """Give the bytes behind the first to the target that it names; only a rule broken may stop it."""
    if data:
        with contextlib.suppress(UcanError, CodecError, EffectError, ModuleError):
            TARGETS[data[0] % len(TARGETS)](data[1:])
