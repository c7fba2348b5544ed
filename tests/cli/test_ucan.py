"""`ipvm ucan`: verdicts for programs, and tokens for people."""

from __future__ import annotations

import io
import json
import sys
from base64 import b64encode, urlsafe_b64encode

import pytest
from principals import ALICE, BOB, CAROL, MALLORY, NOW, delegation_payload, forge, grant, invoke

from ipvm_queue.ucan import Container, Encoding

ONE = grant(ALICE, BOB, ALICE, policy=[["==", ".to", "x"]], expiration=NOW)
TWO = grant(BOB, CAROL, ALICE, "/msg/send")
ASKED = invoke(CAROL, ALICE, ONE, TWO, args={"to": "x"})


def request_of(token, *proofs, **extra):
    """Return a request to validate a token."""
    texts = [b64encode(proof.data).decode() for proof in proofs]
    return {"token": b64encode(token.data).decode(), "proofs": texts, "time": NOW, "kind": "invocation"} | extra


@pytest.fixture
def piped(call, monkeypatch):
    """Return a function that runs `ipvm ucan` with something on standard input."""

    def run(content, *arguments):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return call("ipvm", "ucan", *arguments)

    return run


def test_one_request_gets_one_verdict(piped):
    """An object is answered by an object."""
    valid = piped(request_of(ASKED, ONE, TWO), "validate")
    invalid = piped(request_of(ASKED, ONE), "validate")

    assert (valid.code, valid.json) == (0, {"valid": True})
    assert (invalid.code, invalid.json["valid"], invalid.json["error"]["name"]) == (0, False, "UnavailableProof")
    assert str(TWO.link) in invalid.json["error"]["message"]


def test_a_list_gets_a_list_in_the_same_order(piped):
    """Every option counts for its own item only, and no item for another."""
    alone = invoke(ALICE, ALICE, expiration=NOW)
    forged = b64encode(forge(MALLORY, "ucan/dlg@1.0.0", delegation_payload())).decode()
    cases = [
        (request_of(ASKED, ONE, TWO), None),
        (request_of(ASKED, TWO, ONE, audience=ALICE.did), None),
        (request_of(ASKED, ONE, TWO, audience=BOB.did), "InvalidAudience"),
        (request_of(ASKED, ONE, TWO, time=NOW + 1), "Expired"),
        (request_of(ASKED, ONE, TWO, time=NOW + 1, leeway=1), None),
        (request_of(ASKED, ONE, TWO, revoked=[str(ONE.link)]), "Revoked"),
        (request_of(ASKED, ONE, TWO, revoked=[str(ASKED.task)], audience=None), None),
        (request_of(alone), None),
        (request_of(alone) | {"kind": "delegation"}, "Malformed"),
        (request_of(TWO), "Malformed"),
        (request_of(TWO, kind="delegation"), None),
        (request_of(TWO, ONE, kind="delegation", audience=CAROL.did), None),
        (request_of(TWO, TWO, kind="delegation"), "InvalidAudience"),
        ({"token": forged, "time": NOW, "kind": "delegation"}, "InvalidSignature"),
        ({"token": urlsafe_b64encode(alone.data).decode().rstrip("="), "time": NOW}, None),
        ({"token": "not base64!", "time": NOW}, "Malformed"),
        ({"token": "", "time": NOW}, "Malformed"),
    ]
    answer = piped([request for request, _ in cases], "validate")

    assert answer.code == 0
    assert [verdict.get("error", {}).get("name") for verdict in answer.json] == [name for _, name in cases]
    assert [verdict["valid"] for verdict in answer.json] == [name is None for _, name in cases]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 100_000,
        "text",
        [1],
        {"time": 1},
        {"token": "gg"},
        {"token": "gg", "time": "1"},
        {"token": "gg", "time": True},
        {"token": 1, "time": 1},
        {"token": "gg", "time": 1, "proofs": "gg"},
        {"token": "gg", "time": 1, "revoked": ["x"]},
        {"token": "gg", "time": 1, "kind": "receipt"},
        {"token": "gg", "time": 1, "now": 1},
    ],
    ids=lambda content: str(content)[:30],
)
def test_what_is_no_request_is_bad_usage(piped, content):
    """Input of another shape is an error in words, with exit code 2 and nothing on standard output."""
    answer = piped(content, "validate")

    assert (answer.code, answer.out) == (2, "")
    assert "error[usage]" in answer.err


def test_a_chain_is_shown_as_a_tree(piped):
    """People see what the invocation says, then its proofs as branches, then the verdict."""
    packed = Container.of([TWO.data, ASKED.data, ONE.data]).write(Encoding.BASE64URL_GZIP)
    shown = piped(packed, "inspect", "-", "--time", NOW)

    assert shown.code == 0
    assert f"container (base64url gzip) of 1 tree\n\ninvocation {ASKED.link}\n" in shown.out
    assert f"├─ delegation {ONE.link}\n" in shown.out
    assert f"└─ delegation {TWO.link}\n" in shown.out
    assert '[["==",".to","x"]]' in shown.out
    assert str(ASKED.task) in shown.out
    assert shown.out.endswith("✓ valid\n")
    assert "✗" not in shown.out


def test_the_first_broken_rule_is_marked_where_it_is(piped):
    """The proof that is expired carries the mark, and the tree the reason; so does one that is missing."""
    packed = Container.of([TWO.data, ASKED.data, ONE.data]).write()
    late = piped(packed, "inspect", "-", "--time", NOW + 100)
    missing = piped(Container.of([ASKED.data, TWO.data]).write(), "inspect", "-", "--time", NOW)

    assert f"├─ delegation {ONE.link}   ✗ Expired\n" in late.out
    assert f"└─ delegation {TWO.link}\n" in late.out
    assert late.out.splitlines()[-1].startswith("✗ Expired: ")
    assert f"├─ missing {ONE.link}   ✗ UnavailableProof\n" in missing.out


def test_a_token_is_read_from_a_file_or_its_own_text(call, write):
    """Bytes in a file, base64 in a file and base64 as the argument are the same token."""
    write("token.ucan", ONE.data)
    write("token.txt", b64encode(ONE.data) + b"\n")
    told = [
        call("ipvm", "ucan", "inspect", where, "--json", "--time", NOW).json
        for where in ("token.ucan", "token.txt", b64encode(ONE.data).decode(), urlsafe_b64encode(ONE.data).decode())
    ]

    assert told[0]["cid"] == {"/": str(ONE.link)}
    assert told[0]["kind"] == "delegation"
    assert told[0]["valid"] is True
    assert told[0]["payload"]["aud"] == BOB.did
    assert told == [told[0]] * 4


def jwt(payload):
    """Return a JWT that nobody signed."""
    parts = [{"alg": "EdDSA", "typ": "JWT", "ucv": "0.8.1"}, payload]
    return ".".join([urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts] + ["AA"])


def test_a_jwt_is_shown_with_its_proofs_and_not_called_valid(call):
    """Tokens of older UCANs are decoded, times in words; they are not verified, and it is said."""
    inner = jwt({"iss": ALICE.did, "aud": BOB.did, "att": [{"with": "a:b", "can": "x/y"}], "exp": NOW, "prf": []})
    shown = call("ipvm", "ucan", "inspect", jwt({"iss": BOB.did, "aud": CAROL.did, "exp": NOW, "prf": [inner]}))

    assert shown.code == 0
    assert 'jwt (UCAN "0.8.1")' in shown.out
    assert "└─ jwt" in shown.out
    assert "2027-01-15T08:00:00+00:00" in shown.out
    assert '[{"can":"x/y","with":"a:b"}]' in shown.out
    assert "not verified" in shown.out
    assert "✓" not in shown.out


@pytest.mark.parametrize("text", ["nothing-here.ucan", "@nothing", "eyJh.eyJh.AA", "%" * 300])
def test_what_is_no_token_is_bad_usage(call, text):
    """A file that is not there and text that is nothing are errors in words."""
    answer = call("ipvm", "ucan", "inspect", text)

    assert answer.code == 2
    assert answer.out == ""
    assert "error[usage]" in answer.err


def test_tokens_cannot_steer_the_terminal(piped):
    """Text in a token that would move the cursor or make up a line is shown as JSON has it."""
    sly = grant(ALICE, BOB, ALICE, meta={"a": "b", "\x1b[2J\n✓ valid": "\n✓ valid\x1b[2J"}, expiration=1)
    sly_name = forge(ALICE, "ucan/dlg@1.0.0", delegation_payload(**{"\n✓ valid": "\n✓ valid"}))

    for data in (sly.data, sly_name):
        shown = piped(data, "inspect", "-")

        assert "\x1b" not in shown.out
        assert "\n✓ valid" not in shown.out
