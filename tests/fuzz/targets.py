"""What is fuzzed: every reader of bytes from strangers, each behind its number in the first byte."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING

import dns.message
from dns.exception import DNSException
from httpx import ByteStream, Response
from principals import principal
from protobufs import write_key, write_protobuf

from ipvm_queue.crypto import open_sealed, recipients_of
from ipvm_queue.crypto.libp2p import verify_peer
from ipvm_queue.effects import EffectError
from ipvm_queue.effects.dns_answer import answer_of, evidence_of
from ipvm_queue.effects.dns_exchange import UDP, Exchange, question
from ipvm_queue.effects.dns_uri import read_uri as read_name_uri
from ipvm_queue.effects.drand_chain import CHAINED, ON_G1, Beacon, read_beacon, read_chain
from ipvm_queue.effects.http_body import read_body, value_of
from ipvm_queue.effects.http_request import read_url
from ipvm_queue.effects.image import without_names
from ipvm_queue.effects.ipns_record import read_name, read_record
from ipvm_queue.effects.mail_address import read_address
from ipvm_queue.errors import CodecError, ModuleError
from ipvm_queue.ipld import Link, decode, encode
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


def name_uri(data: bytes) -> None:
    """Read a `dns:` URI; the name in it is one that can be asked for."""
    found = read_name_uri(f"dns:{data.decode(errors='replace')}")
    question(found.name, found.type).to_wire()


def name_reply(data: bytes) -> None:
    """Read what a DNS server says; whatever it is has an IPLD form."""
    with contextlib.suppress(DNSException):
        reply = dns.message.from_wire(data)
        for rrset in reply.answer:
            encode(answer_of(rrset.name, rrset.name, rrset.to_rdataset()))
        encode(evidence_of(Exchange("127.0.0.1:53", UDP, reply)))


def web_body(data: bytes) -> None:
    """Read a body as what its content type says, after the encoding it claims; both stand before it, in one line."""
    head, _, body = data.partition(b"\n")
    kind, _, coding = head.decode(errors="replace").partition("|")
    response = Response(200, headers=[(b"content-encoding", coding.encode())], stream=ByteStream(body))
    plain = read_body(response, 10_000)
    assert len(plain) <= 10_000
    encode(value_of(plain, kind, "auto"))


def web_url(data: bytes) -> None:
    """Read a URL; it has a host, and no password."""
    url = read_url(data.decode(errors="replace"))
    assert url.host
    assert not url.userinfo


def mailbox(data: bytes) -> None:
    """Read a mail address; what goes to a server is one word of ASCII, and the header one line."""
    address = read_address(data.decode(errors="replace"), "to")
    assert address.addr_spec.isascii()
    assert address.addr_spec.isprintable()
    assert not set(address.addr_spec) & set(" <>")
    message = EmailMessage(policy=SMTP)
    message["To"] = address
    assert message.as_bytes().count(b"\r\n") == message.as_bytes().count(b"\r\n ") + 2


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
    name_uri,
    name_reply,
    web_body,
    web_url,
    mailbox,
]


def one_input(data: bytes) -> None:
    """Give the bytes behind the first to the target that it names; only a rule broken may stop it."""
    if data:
        with contextlib.suppress(UcanError, CodecError, EffectError, ModuleError):
            TARGETS[data[0] % len(TARGETS)](data[1:])
