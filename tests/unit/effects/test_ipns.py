"""IPNS: records that a test makes and signs, given by real servers, verified by the worker."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from handlers import Given, error_of, run
from hypothesis import given
from hypothesis import strategies as st
from protobufs import write_key, write_protobuf
from shelf import shelf

from ipvm_queue.crypto import base58
from ipvm_queue.crypto.libp2p import RSA
from ipvm_queue.effects import EffectError, check
from ipvm_queue.effects.ipns_record import read_name
from ipvm_queue.ipld import Link, encode, read_protobuf
from ipvm_queue.settings import Settings

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PUBLIC = write_key(KEY.public_key())
MULTIHASH = b"\0" + bytes([len(PUBLIC)]) + PUBLIC
NAME = read_name(base58.encode(MULTIHASH)).text
CID = Link.of(b"what the name points to")
PATH = f"/ipns/{NAME}?format=ipns-record"


def content(**changes):
    """Return what a record says: valid for an hour, sequence 7."""
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    fields = {"Value": f"/ipfs/{CID}".encode(), "ValidityType": 0, "Validity": until.encode(), "Sequence": 7,
              "TTL": 3_600_000_000_000}  # fmt: skip
    return {name: value for name, value in (fields | changes).items() if value is not ...}


def record(key=KEY, around=None, sign=None, data=None, **changes):
    """Return a record of V2, with the fields of V1 around it unless `around` says otherwise."""
    said = content(**changes)
    data = encode(said) if data is None else data
    signature = (sign or key.sign)(b"ipns-signature:" + data)
    twins = {1: "Value", 3: "ValidityType", 4: "Validity", 5: "Sequence", 6: "TTL"}
    fields = {number: said[name] for number, name in twins.items() if name in said}
    fields = {**fields, 2: b"old", 8: signature, 9: data} | (around or {})
    return write_protobuf({number: value for number, value in fields.items() if value is not ...})


@pytest.fixture
def gateway():
    """Serve a gateway that has a valid record."""
    with shelf() as it:
        it.things[PATH] = record()
        yield it


@pytest.fixture
def asking(tmp_path):
    """Return a function that makes the context of a worker which may ask some gateways."""
    return lambda *gateways, **more: Given(
        {"ipfs": {"gateways": [each.url for each in gateways], **more}}, settings=Settings(cache_dir=tmp_path)
    )


def test_a_name_is_read(gateway, asking):
    """The answer is a link; the receipt's evidence is the signed data itself."""
    outcome = run(asking(gateway), f"ipns://{NAME}", "crud/read")

    assert outcome.out == {"ok": CID}
    assert (outcome.evidence["name"], outcome.evidence["sequence"]) == (NAME, 7)
    KEY.public_key().verify(outcome.evidence["signature"], b"ipns-signature:" + outcome.evidence["data"])
    assert gateway.headers[0]["Accept"] == "application/vnd.ipfs.ipns-record"


def test_all_forms_of_a_name_are_one(gateway, asking):
    """Peer id, base36 and base32 CIDs name the same key."""
    peer = base58.encode(MULTIHASH)

    assert peer.startswith("12D3Koo")
    assert NAME.startswith("k51")
    for name in (peer, NAME, str(Link(b"\x01\x72" + MULTIHASH))):
        assert run(asking(gateway), f"ipns://{name}/", "crud/read").out == {"ok": CID}


def test_a_path_and_another_name_come_out_as_text(gateway, asking):
    """Only `/ipfs/CID` is a link."""
    for value in (f"/ipfs/{CID}/index.html", f"/ipns/{NAME}", "/ipfs/no-cid"):
        gateway.things[PATH] = record(Value=value.encode())
        assert run(asking(gateway), f"ipns://{NAME}", "crud/read").out == {"ok": value}


def test_an_rsa_name_verifies_by_the_key_in_the_record(asking):
    """Old names (`Qm…`) are the hash of a key that the record brings along."""
    key = rsa.generate_private_key(65537, 2048)
    public = write_protobuf({1: RSA, 2: key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)})
    name = read_name(base58.encode(b"\x12\x20" + sha256(public).digest())).text
    with shelf() as gateway:
        path = f"/ipns/{name}?format=ipns-record"
        gateway.things[path] = record(
            sign=lambda data: key.sign(data, padding.PKCS1v15(), SHA256()), around={7: public}
        )
        assert run(asking(gateway), f"ipns://{name}", "crud/read").out == {"ok": CID}
        gateway.things[path] = record(around={7: PUBLIC})
        assert error_of(asking(gateway), f"ipns://{name}", "crud/read").code == "ipns/key"
        gateway.things[path] = record()
        assert error_of(asking(gateway), f"ipns://{name}", "crud/read").code == "ipns/key"


def altered(at):
    """Return a valid record with one bit of its signed data or signature flipped."""
    fields = read_protobuf(record())
    value = fields[at]
    return write_protobuf({**fields, at: value[:-1] + bytes([value[-1] ^ 1])})


BAD = {
    "expired": (record(Validity=b"2020-01-01T00:00:00Z"), "ipns/expired", "world"),
    "another key": (record(key=OTHER), "ipns/signature", "network"),
    "altered signature": (altered(8), "ipns/signature", "network"),
    "altered data": (altered(9), "ipns/signature", "network"),
    "without the prefix": (record(sign=lambda data: KEY.sign(data[15:])), "ipns/signature", "network"),
    "V1 alone": (record(around={8: ..., 9: ...}), "ipns/format", "network"),
    "other words around": (record(around={1: b"/ipfs/other"}), "ipns/format", "network"),
    "another sequence around": (record(around={5: 8}), "ipns/format", "network"),
    "another's key": (record(around={7: write_key(OTHER.public_key())}), "ipns/key", "network"),
    "a rule that is not known": (record(ValidityType=1), "ipns/format", "network"),
    "no time": (record(Validity=b"tomorrow"), "ipns/format", "network"),
    "a field missing": (record(TTL=...), "ipns/format", "network"),
    "a field of another type": (record(Sequence=b"7"), "ipns/format", "network"),
    "no map": (record(data=encode([1])), "ipns/format", "network"),
    "no DAG-CBOR": (record(data=b"\xff"), "ipns/format", "network"),
    "no protobuf": (b"hello", "ipns/format", "network"),
    "nothing": (b"", "ipns/format", "network"),
    "too large": (record(Value=bytes(11_000)), "ipns/too-large", "world"),
    "absent": (404, "ipns/absent", "network"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_valid_record_is_refused(gateway, asking, case):
    """Each way of being wrong has its code and its fault."""
    gateway.things[PATH], code, fault = BAD[case]
    error = error_of(asking(gateway), f"ipns://{NAME}", "crud/read")

    assert (error.code, error.fault) == (code, fault)


def test_the_newest_of_several_records_wins(gateway, asking):
    """The highest sequence, whoever has it; a gateway with none or a wrong one does not matter."""
    newer = Link.of(b"newer")
    with shelf() as second, shelf() as liar:
        second.things[PATH] = record(Sequence=8, Value=f"/ipfs/{newer}".encode())
        liar.things[PATH] = record(key=OTHER, Sequence=99)
        outcome = run(asking(gateway, second, liar), f"ipns://{NAME}", "crud/read")

    assert outcome.out == {"ok": newer}
    assert outcome.evidence["from"] == second.url.removeprefix("http://")


def test_an_older_record_than_one_that_was_seen_is_refused(gateway, asking):
    """A gateway cannot roll a name back for a worker that knows better."""
    context = asking(gateway)
    run(context, f"ipns://{NAME}", "crud/read")
    gateway.things[PATH] = record(Sequence=6)
    error = error_of(context, f"ipns://{NAME}", "crud/read")

    assert (error.code, error.fault) == ("ipns/sequence", "network")
    assert error.evidence["sequence"] == 6


def test_a_job_may_ask_for_a_sequence(gateway, asking):
    """Who knows that there is a newer record takes no older one."""
    assert run(asking(gateway), f"ipns://{NAME}", "crud/read", sequence=7).out == {"ok": CID}
    assert error_of(asking(gateway), f"ipns://{NAME}", "crud/read", sequence=8).code == "ipns/sequence"


def test_kubo_answers_by_its_rpc(asking):
    """The last event that holds a value is the record; other events are passed over."""
    with shelf() as kubo:
        path = f"/api/v0/routing/get?arg=/ipns/{NAME}"
        events = [{"Type": 1, "Extra": ""}, {"Type": 5, "Extra": b64encode(record()).decode()}]
        kubo.things[path] = b"\n".join(json.dumps(event).encode() for event in events)
        assert run(asking(kubo=kubo.url), f"ipns://{NAME}", "crud/read").out == {"ok": CID}
        assert kubo.asked == [("POST", path)]
        for answer in (b"", b"{}", b'{"Type": 5}', b'{"Type": 5, "Extra": "?"}', b"[1]", b"nonsense"):
            kubo.things[path] = answer
            assert error_of(asking(kubo=kubo.url), f"ipns://{NAME}", "crud/read").code == "ipns/absent"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1",
        "11",
        "12",
        "111",
        "alice.example.com",
        "12D3",
        "Qm",
        str(CID),
        f"{NAME}/path",
        "k51notbase36!",
        "z" * 5000,
    ],
)
def test_what_is_no_name_is_the_requestors_fault(asking, name):
    """A DNS name, the CID of something else, a path: refused at submission, and by the handler."""
    error = error_of(asking(), f"ipns://{name}", "crud/read")

    assert (error.code, error.fault) == ("ipns/name", "requestor")
    assert list(check(f"ipns://{name}", "crud/read", {})) != []


@given(st.text(max_size=60) | st.text("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", max_size=60))
def test_no_text_breaks_the_reader_of_names(text):
    """Whatever is asked for is a name, or the requestor's error."""
    try:
        name = read_name(text)
    except EffectError as error:
        assert error.code == "ipns/name"  # noqa: PT017 - names may be right, too
    else:
        assert read_name(name.text) == name


def test_nobody_to_ask(asking):
    """A worker without gateways says so."""
    error = error_of(asking(), f"ipns://{NAME}", "crud/read")

    assert (error.code, error.fault) == ("ipns/unconfigured", "runner")
