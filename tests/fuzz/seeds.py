"""A corpus to start from: tokens, containers, policies and selectors that are right, made here."""

from __future__ import annotations

import gzip
import json
import zlib

import dns.message
import dns.rrset
from container_images import image
from modules import numbers, values
from principals import ALICE, BOB, CAROL, bag, grant, invoke, principal
from protobufs import write_key, write_protobuf
from wasi_guests import component, wasi

from ipvm_queue.crypto import seal
from ipvm_queue.crypto.libp2p import SECP
from ipvm_queue.effects.drand_chain import CHAINED, ON_G1
from ipvm_queue.ipld import cid_of, encode
from ipvm_queue.ucan import Container, Encoding, revoke
from ipvm_queue.ucan.classic import PUSH, mint

POLICY = [
    ["==", ".to[0]", "x"],
    ["!=", '.["any key"]?', None],
    ["like", ".from", "a*\\*b"],
    ["not", ["or", [["<", ".n", 1.5], [">=", ".n[-1]", 2]]]],
    ["all", ".to[1:-1]", ["any", ".[]", ["and", [["==", ".", cid_of(1)]]]]],
]
ARGS = {"to": ["x", ["y"], "z"], "from": "ab*b", "n": 2, "later": {"await/ok": cid_of("task")}}

SAID = {"Value": b"/ipfs/x", "ValidityType": 0, "Validity": b"2099-01-01T00:00:00.5Z", "Sequence": 1, "TTL": 0}
CHAINS = {
    "8990e7a9aaed2ffed73dbd7092123d6f289930540d7651336225dc172e51b2ce": {
        "public_key": "868f005eb8e6e4ca0a47c8a77ceaa5309a47978a7c71bc5cce96366b5d7a5699"
        "37c529eeda66c7293784a9402801af31",
        "period": 30,
        "genesis_time": 1595431050,
        "groupHash": "176f93498eac9ca337150b46d21dd58673ea4e3581185f869672e59fa4cb390a",
        "schemeID": CHAINED,
    },
    "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971": {
        "public_key": "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
        "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
        "period": 3,
        "genesis_time": 1692803367,
        "groupHash": "f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e",
        "schemeID": ON_G1,
        "metadata": {"beaconID": "quicknet"},
    },
}
RECORDS = {
    "A": "192.0.2.1",
    "TXT": '"a" "b"',
    "MX": "10 mail.example.",
    "SRV": "1 2 3 a.example.",
    "URI": '1 2 "did:key:z"',
    "CAA": '0 issue "ca.example"',
    "HTTPS": "1 . alpn=h2",
    "SOA": "a. b. 1 2 3 4 5",
}
BODIES = {
    b"application/json|": b'{"a": [1, 2.5, null, "x"]}',
    b"application/json|gzip": gzip.compress(b"[1]", mtime=0),
    b"text/plain|deflate": zlib.compress(b"text"),
    b"image/png|identity": b"\x89PNG",
}


def reply(kind: str, record: str) -> bytes:
    """Return a DNS server's answer with one record."""
    answer = dns.message.make_response(dns.message.make_query("x.example", kind))
    answer.id = 1
    answer.answer.append(dns.rrset.from_text("x.example.", 300, "IN", kind, record))
    return answer.to_wire()


def seeds() -> list[bytes]:
    """Return inputs of every target, numbered as `targets.TARGETS`."""
    tokens = []
    for suite in ("Ed25519", "P-256", "secp256k1"):
        issuer = principal("issuer", suite)
        one = grant(issuer, BOB, issuer, policy=POLICY, expiration=1_900_000_000, not_before=1, meta={"a": b"b"})
        two = grant(BOB, CAROL, None, "/", version="1.0.0-rc.1")
        asked = invoke(CAROL, issuer, one, two, args=ARGS, audience=BOB.did, issued_at=1, cause=cid_of(2), nonce=b"")
        tokens += [one, two, asked, revoke(ALICE, one.link, [one.link])]
    chains = [Container(bag(*tokens[start : start + 3])) for start in range(0, len(tokens), 4)]
    texts = [".", '.a["b c"][0][-1][1:2][:][]?', "a*b\\*c\0axb*c"]
    queue, later = principal("queue"), 4_000_000_000
    right = f"queue:{queue.did}"
    root = mint(queue, ALICE.did, right, expiration=later, not_before=1)
    below = mint(ALICE, BOB.did, queue.did, expiration=later, not_before=2, proofs=[root, root])
    granted = {"iss": queue.did, "aud": ALICE.did, "exp": later, "att": [{"with": right, "can": PUSH}], "prf": []}
    more = granted | {"nbf": 1, "nnc": "n", "fct": [{}], "prf": [root], "att": [{"with": queue.did, "can": "queue/*"}]}
    return [
        *(b"\0" + Container.of([token.data]).write() for token in tokens),
        *(b"\0" + chain.write() for chain in chains),
        *(b"\1" + token.token.body for token in tokens),
        *(b"\2" + chain.write(encoding) for chain in chains for encoding in Encoding),
        *(b"\3" + encode([[statement], ARGS]) for statement in POLICY),
        b"\3" + encode([POLICY, ARGS]),
        *(b"\4" + text.encode() for text in texts),
        *(b"\5" + text.encode() for text in (root, below)),
        b"\7" + seal([ALICE.did, principal("nina", "P-256").did, queue.did], b"data"),
        *(b"\x08" + encode(SAID | change) for change in ({}, {"Value": b"/ipns/y", "TTL": 5})),
        b"\x09" + write_key(queue.private_key.public_key()),
        b"\x09"
        + write_protobuf(
            {1: SECP, 2: principal("kate", "secp256k1").suite.raw(principal("kate", "secp256k1").private_key)}
        ),
        *(b"\x0a" + name.encode() + b"\0" + json.dumps(info).encode() for name, info in CHAINS.items()),
        *(b"\x0b" + image(text=text) for text in (b"", b"hello")),
        *(b"\x0c" + module for module in (numbers(), values(), component(0), wasi("fill"))),
        *(
            b"\x0d" + text.encode()
            for text in ("a.example?TYPE=MX", "//192.0.2.1:53/b%C3%BC.example?CLASS=IN;TYPE=TYPE9")
        ),
        *(b"\x0e" + reply(kind, record) for kind, record in RECORDS.items()),
        *(b"\x0f" + head + b"\n" + body for head, body in BODIES.items()),
        *(
            b"\x10" + url
            for url in (b"https://example.com:8443/a?b=c#d", b"http://[2001:db8::1]/", "http://bü/".encode())
        ),
        *(b"\x11" + text for text in (b"bob@example.com", "Bob M\u00fcller <bob+x@b\u00fccher.example>".encode())),
        *(b"\6" + json.dumps(payload).encode() for payload in (granted, more)),
    ]
