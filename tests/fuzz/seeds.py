"""A corpus to start from: tokens, containers, policies and selectors that are right, made here."""

from __future__ import annotations

import json

from principals import ALICE, BOB, CAROL, bag, grant, invoke, principal

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
        *(b"\6" + json.dumps(payload).encode() for payload in (granted, more)),
    ]
