"""Keys of the world: signing and opening with them, and what a worker never does with its own."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pyrage
import pytest
from handlers import Given, error_of, run
from principals import MALLORY, grant, principal

from ipvm_queue.crypto import SUITES, Signer, save_signer, seal, verify
from ipvm_queue.effects import find
from ipvm_queue.ipld import Link, encode
from ipvm_queue.store import MemoryBlocks
from ipvm_queue.ucan.classic import mint

KEYS = {suite: principal(f"key-{suite}", suite) for suite in SUITES}
ED = KEYS["Ed25519"]


@pytest.fixture
def context(tmp_path):
    """Return a worker with a key of each suite."""
    for name, signer in KEYS.items():
        save_signer(signer, tmp_path / f"{name}.pem")
    return Given({"keys": {"directory": str(tmp_path)}, "ipfs": {}}, blocks=MemoryBlocks())


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("value", ["aBcDeF", "ä", b"\x00\xff"])
def test_a_key_signs(context, suite, value):
    """Text is signed as UTF-8, bytes as they are; anybody can verify it by the DID."""
    outcome = run(context, KEYS[suite].did, "crypto/sign", value=value)

    assert verify(KEYS[suite].did, outcome.out["ok"], value.encode() if isinstance(value, str) else value)
    assert outcome.evidence == {"key": KEYS[suite].did, "suite": suite}


def test_what_keys_do_is_private():
    """All of them keep their results to their owner unless a job says otherwise (effects 5.1)."""
    for uri, ability in ((ED.did, "crypto/sign"), (ED.did, "crypto/decrypt"), ("age:x", "crypto/decrypt")):
        assert find(uri, ability).private


def test_an_unknown_key_is_said_to_be(context):
    """The worker does not have everybody's key."""
    error = error_of(context, MALLORY.did, "crypto/sign", value="x")

    assert (error.code, error.fault) == ("keys/unknown", "runner")


def test_the_workers_own_key_signs_nothing_and_opens_nothing(context, tmp_path):
    """Whoever could have it sign anything could forge receipts: not even a copy in the directory is used."""
    save_signer(context.signer, tmp_path / "own.pem")

    assert error_of(context, context.signer.did, "crypto/sign", value="x").code == "keys/reserved"
    box = seal(context.signer.did, b"a lease's password")
    assert error_of(context, context.signer.did, "crypto/decrypt", value=box).code == "keys/reserved"
    assert error_of(context, f"ipfs://{context.blocks.put(box)}", "crypto/decrypt").code == "keys/wrong-key"


def test_no_capability_is_signed_for_a_job(context):
    """What a key's owner may do is not given away: neither a delegation of UCAN 1.0 nor a JWT of older wallets."""
    token = grant(ED, MALLORY, ED)
    jwt = mint(ED, MALLORY.did, ED.did, expiration=4_000_000_000)
    for value in (token.token.body, jwt.rpartition(".")[0], jwt.rpartition(".")[0].encode()):
        error = error_of(context, ED.did, "crypto/sign", value=value)
        assert (error.code, error.fault) == ("keys/token", "requestor")
    head, body = b'{"alg":"EdDSA","typ":"JWT"}', b'{"sub":"a service\'s own token"}'
    plain = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in (head, body))
    for value in (plain, encode({"h": b"", "other": {}}), "a.b", b"\xff.\xff", b"[[.[["):
        assert "ok" in run(context, ED.did, "crypto/sign", value=value).out


HEAD = b'{"alg":"EdDSA","typ":"JWT"}'
UCAN = b'{"alg":"EdDSA","typ":"JWT","ucv":"0.9.1"}'
ATT = b'{"iss":"did:key:zA","aud":"did:key:zB","exp":9999999999,"att":[{"with":"x:y","can":"*"}]}'
DEEP = b"[" * 2000 + b"]" * 2000


def packed(*parts):
    """Return what of a JWT is signed."""
    return b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)


@pytest.mark.parametrize(
    "value",
    [
        packed(UCAN[:-1] + b',"x":"\xff"}', ATT[:-1] + b',"fct":["\xff"]}'),
        packed(UCAN[:-1] + b',"x":' + DEEP + b"}", ATT[:-1] + b',"fct":' + DEEP + b"}"),
        packed(HEAD, ATT[:-1] + b',"x":' + b"1" * 5000 + b"}"),
        packed(HEAD, b"\xef\xbb\xbf" + ATT),
        packed(HEAD, b" " + ATT + b" and more"),
        packed(HEAD, ATT[:-1] + b',"x":"' + b"x" * 2_000_000 + b'"}'),
        packed(HEAD, b'{"\\u0061tt":[]}'),
        packed(HEAD, ATT + b" " * (-len(ATT) % 3)) + b"A",
        packed(HEAD, ATT).replace(b".", b"!.!"),
        packed(HEAD, b'{"ucv":"0.10.0","iss":"did:key:zA","cap":{}}'),
    ],
    ids=["utf8", "deep", "digits", "bom", "trailing", "long", "escaped", "odd", "strange", "0.10"],
)
def test_what_another_reader_may_take_for_a_capability_is_not_signed(context, value):
    """A JWT that is read leniently elsewhere is one: what cannot be judged here is refused."""
    error = error_of(context, ED.did, "crypto/sign", value=value)

    assert (error.code, error.fault) == ("keys/token", "requestor")


@pytest.mark.parametrize("value", ["example.com", "report.txt", packed(HEAD, b"{}"), packed(b"[1", b"no JSON")])
def test_text_with_a_dot_in_it_is_signed(context, value):
    """What nobody can take for a JWT of a UCAN is none."""
    assert "ok" in run(context, ED.did, "crypto/sign", value=value).out


@pytest.mark.parametrize("uri", ["did:key:zNonsense", "did:web:example.com", "did:key:"])
def test_what_is_no_key_is_the_requestors_fault(context, uri):
    """A DID must be one whose key can be known."""
    error = error_of(context, uri, "crypto/sign", value="x")

    assert (error.code, error.fault) == ("keys/uri", "requestor")


def test_a_worker_without_keys_says_so():
    """No directory is the runner's lack."""
    error = error_of(Given({}), ED.did, "crypto/sign", value="x")

    assert (error.code, error.fault) == ("keys/unconfigured", "runner")


def test_a_key_file_that_others_can_read_is_not_used(context, tmp_path):
    """The error names the file and not its place."""
    (tmp_path / "Ed25519.pem").chmod(0o644)
    error = error_of(context, MALLORY.did, "crypto/sign", value="x")

    assert (error.code, error.fault) == ("keys/file", "runner")
    assert str(tmp_path) not in error.message


@pytest.mark.parametrize("suite", ["Ed25519", "P-256"])
def test_a_box_is_opened(context, suite):
    """By its bytes, by the link of its block, and by whichever key it is for."""
    box = seal([MALLORY.did, KEYS[suite].did], b"secret")
    cid = context.blocks.put(box)

    assert run(context, KEYS[suite].did, "crypto/decrypt", value=box).out == {"ok": b"secret"}
    assert run(context, KEYS[suite].did, "crypto/decrypt", value=cid).out == {"ok": b"secret"}
    outcome = run(context, f"ipfs://{cid}", "crypto/decrypt")
    assert outcome.out == {"ok": b"secret"}
    assert outcome.evidence == {"key": KEYS[suite].did}


def test_a_key_may_have_a_name(context):
    """`with` may be a name that the operator has given a key (effects 5.1.2); any other is no key."""
    name = "ipns://alice.example/supersecret"
    box = seal(ED.did, b"secret")
    assert error_of(context, name, "crypto/decrypt", value=box).code == "keys/uri"
    context.tables["keys"]["names"] = {name: ED.did}

    assert run(context, name, "crypto/decrypt", value=box).out == {"ok": b"secret"}
    assert error_of(context, f"{name}2", "crypto/decrypt", value=box).code == "keys/uri"


def test_each_way_of_not_opening_has_its_code(context):
    """A wrong key, an altered box, no box, a key that cannot encrypt, too much."""
    box = seal(ED.did, b"secret")
    altered = box[:-1] + bytes([box[-1] ^ 1])
    cases = [
        (ED.did, seal(MALLORY.did, b"x"), "keys/wrong-key"),
        (ED.did, altered, "keys/altered"),
        (ED.did, b"no box", "keys/altered"),
        (KEYS["secp256k1"].did, box, "keys/wrong-key"),
        (ED.did, Link.of(b"nowhere"), "keys/unconfigured"),
    ]
    for did, value, code in cases:
        assert error_of(context, did, "crypto/decrypt", value=value).code == code
    assert error_of(context, ED.did, "crypto/decrypt", value=box, max_bytes=3).code == "keys/too-large"
    assert error_of(context, f"ipfs://{context.blocks.put(b'no box')}", "crypto/decrypt").code == "keys/format"


@pytest.fixture
def identity(tmp_path):
    """Return an age identity that the worker has."""
    made = pyrage.x25519.Identity.generate()
    file = tmp_path / "one.age"
    file.write_text(f"# created by a test\n{made}\n")
    file.chmod(0o600)
    return made


def test_an_age_file_is_opened(context, identity):
    """`age:` and the recipient name the identity; the file is bytes, or armoured text."""
    for armoured in (False, True):
        box = pyrage.encrypt(b"secret", [identity.to_public()], armored=armoured)
        value = box.decode() if armoured else box

        assert run(context, f"age:{identity.to_public()}", "crypto/decrypt", value=value).out == {"ok": b"secret"}


def test_age_has_the_same_errors(context, identity):
    """A wrong key, an altered file and an unknown identity are told apart."""
    uri, other = f"age:{identity.to_public()}", pyrage.x25519.Identity.generate().to_public()
    box = pyrage.encrypt(b"secret", [identity.to_public()])

    assert error_of(context, uri, "crypto/decrypt", value=pyrage.encrypt(b"x", [other])).code == "keys/wrong-key"
    assert error_of(context, uri, "crypto/decrypt", value=box[:-1]).code == "keys/altered"
    assert error_of(context, f"age:{other}", "crypto/decrypt", value=box).code == "keys/unknown"


def test_an_age_identity_that_others_can_read_is_not_used(context, identity, tmp_path):
    """As for PEM files."""
    (tmp_path / "one.age").chmod(0o640)

    assert error_of(context, f"age:{identity.to_public()}", "crypto/decrypt", value=b"x").code == "keys/file"


def test_errors_hold_no_secret(context):
    """What is in a box is in none of the words about it."""
    box = seal(ED.did, b"the canary")
    error = error_of(context, ED.did, "crypto/decrypt", value=box, max_bytes=1)

    assert "canary" not in f"{error.message}{error.evidence}{error!r}"


def test_a_generated_key_is_found_among_many(context, tmp_path):
    """Files have any names: the DID finds the key."""
    signer = save_signer(Signer.generate(), tmp_path / "anything.pem")

    assert run(context, f"{signer.did}#{signer.did[8:]}", "crypto/sign", value="x").evidence["key"] == signer.did
