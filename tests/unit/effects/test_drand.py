"""drand: recorded rounds of two real chains, a chain of our own for the rest, relays that lie."""

from __future__ import annotations

import json
import time
from hashlib import sha256

import pytest
from handlers import Given, error_of, run
from pyblst import BlstP1Element, BlstP2Element
from shelf import shelf

from ipvm_queue.effects import check, drand
from ipvm_queue.effects.drand_chain import CHAINED, ON_G1, UNCHAINED, Beacon, Chain, read_chain

# The League of Entropy's chains, and rounds that they have published.
MAINNET = "8990e7a9aaed2ffed73dbd7092123d6f289930540d7651336225dc172e51b2ce"
QUICKNET = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
INFOS = {
    MAINNET: {
        "public_key": "868f005eb8e6e4ca0a47c8a77ceaa5309a47978a7c71bc5cce96366b5d7a5699"
        "37c529eeda66c7293784a9402801af31",
        "period": 30,
        "genesis_time": 1595431050,
        "groupHash": "176f93498eac9ca337150b46d21dd58673ea4e3581185f869672e59fa4cb390a",
        "schemeID": CHAINED,
        "metadata": {"beaconID": "default"},
    },
    QUICKNET: {
        "public_key": "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
        "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
        "period": 3,
        "genesis_time": 1692803367,
        "groupHash": "f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e",
        "schemeID": ON_G1,
        "metadata": {"beaconID": "quicknet"},
    },
}
ROUNDS = [
    (
        MAINNET,
        1,
        (
            "8d61d9100567de44682506aea1a7a6fa6e5491cd27a0a0ed349ef6910ac5ac20ff7bc3e09d7c046566c9f7f3c6f3b101"
            "04990e7cb424998203d8f7de586fb7fa5f60045417a432684f85093b06ca91c769f0e7ca19268375e659c2a2352b4655"
        ),
        "176f93498eac9ca337150b46d21dd58673ea4e3581185f869672e59fa4cb390a",
        "101297f1ca7dc44ef6088d94ad5fb7ba03455dc33d53ddb412bbc4564ed986ec",
    ),
    (
        MAINNET,
        72785,
        (
            "82f5d3d2de4db19d40a6980e8aa37842a0e55d1df06bd68bddc8d60002e8e959eb9cfa368b3c1b77d18f02a54fe047b8"
            "0f0989315f83b12a74fd8679c4f12aae86eaf6ab5690b34f1fddd50ee3cc6f6cdf59e95526d5a5d82aaa84fa6f181e42"
        ),
        (
            "a609e19a03c2fcc559e8dae14900aaefe517cb55c840f6e69bc8e4f66c8d18e8a609685d9917efbfb0c37f058c2de88f"
            "13d297c7e19e0ab24813079efe57a182554ff054c7638153f9b26a60e7111f71a0ff63d9571704905d3ca6df0b031747"
        ),
        None,
    ),
    (
        QUICKNET,
        1000,
        "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39",
        "",
        "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd",
    ),
    (
        QUICKNET,
        123,
        "b75c69d0b72a5d906e854e808ba7e2accb1542ac355ae486d591aa9d43765482e26cd02df835d3546d23c4b13e0dfc92",
        "",
        None,
    ),
]
SECRET = int.from_bytes(sha256(b"a chain of our own").digest(), "big") >> 2
ONE_1 = bytes.fromhex(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
)
DST_G2 = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"


@pytest.fixture(autouse=True)
def _forget():
    drand._known.clear()


@pytest.fixture
def relay():
    """Serve a relay that tells the truth."""
    with shelf() as it:
        for chain, info in INFOS.items():
            it.things[f"/{chain}/info"] = json.dumps(info).encode()
        for chain, number, signature, before, _ in ROUNDS:
            put(it, chain, number, number=number, signature=signature, before=before)
        yield it


def put(relay, chain, at, *, number, signature, before=""):
    """Put a round onto a relay."""
    given = {"round": number, "signature": signature, "randomness": "00" * 32, "previous_signature": before}
    relay.things[f"/{chain}/public/{at}"] = json.dumps(given).encode()


def asking(*relays, **more):
    """Return a context whose worker may ask these relays."""
    return Given({"drand": {"relays": [relay.url for relay in relays], **more}})


def own_chain(scheme=UNCHAINED, period=3):
    """Return a chain that began a minute ago, and a function that signs its rounds; its key is the test's."""
    key = BlstP1Element.uncompress(ONE_1).scalar_mul(SECRET).compress()
    chain = Chain(key, period, int(time.time()) - 60, sha256(b"seed").digest(), scheme, "own")

    def sign(number, before=b""):
        message = sha256(before + number.to_bytes(8, "big")).digest()
        return BlstP2Element.hash_to_group(message, DST_G2).scalar_mul(SECRET).compress()

    return chain, sign


def info_of(chain):
    """Return a chain's info as a relay tells it."""
    return json.dumps(
        {
            "public_key": chain.public_key.hex(),
            "period": chain.period,
            "genesis_time": chain.genesis,
            "groupHash": chain.seed.hex(),
            "schemeID": chain.scheme,
            "metadata": {"beaconID": chain.name},
        }
    ).encode()


@pytest.mark.parametrize("chain", INFOS)
def test_the_hash_of_a_real_chain_is_computed(chain):
    """What a chain is called is the hash of what is known about it."""
    assert read_chain(json.dumps(INFOS[chain]).encode(), chain).hash == chain


@pytest.mark.parametrize(("chain", "number", "signature", "before", "randomness"), ROUNDS)
def test_recorded_rounds_verify(relay, chain, number, signature, before, randomness):
    """Real beacons give the randomness that was published; what a relay calls randomness counts for nothing."""
    outcome = run(asking(relay), f"drand://{chain}/{number}", "crud/read")

    assert outcome.out == {"ok": sha256(bytes.fromhex(signature)).digest()}
    if randomness:
        assert outcome.out["ok"].hex() == randomness
    assert outcome.evidence["signature"].hex() == signature
    assert outcome.evidence.get("previous", b"").hex() == before
    assert (outcome.evidence["chain"], outcome.evidence["round"]) == (chain, number)


def test_the_form_without_slashes_is_the_same(relay):
    """`drand:CHAIN/ROUND` too, in any case."""
    assert run(asking(relay), f"DRAND:{QUICKNET.upper()}/1000", "crud/read").out["ok"].hex().startswith("fe290bec")


def test_a_round_with_another_number_or_signature_is_refused(relay):
    """Each alteration is found out by the key."""
    _, _, signature, before, _ = ROUNDS[1]
    for number, given, previous in (
        (72786, signature, before),
        (72785, signature[:-2] + "43", before),
        (72785, signature, before[:-2] + "00"),
        (72785, signature, ""),
        (72785, ROUNDS[0][2], before),
    ):
        put(relay, MAINNET, 72785, number=number, signature=given, before=previous)
        error = error_of(asking(relay), f"drand://{MAINNET}/72785", "crud/read")
        assert (error.code, error.fault) == ("drand/signature", "network")


def test_a_true_round_is_no_answer_for_another(relay):
    """A relay that gives an older round for the one that was asked is passed over."""
    relay.things[f"/{QUICKNET}/public/1001"] = relay.things[f"/{QUICKNET}/public/1000"]

    assert error_of(asking(relay), f"drand://{QUICKNET}/1001", "crud/read").code == "drand/round"


def test_another_chain_under_the_pinned_hash_is_refused(relay):
    """A relay cannot bring a key of its own: the hash pins it."""
    chain, sign = own_chain()
    relay.things[f"/{QUICKNET}/info"] = info_of(chain)
    put(relay, QUICKNET, 5, number=5, signature=sign(5).hex())

    error = error_of(asking(relay), f"drand://{QUICKNET}/5", "crud/read")
    assert (error.code, error.fault) == ("drand/chain", "network")


def test_a_liar_is_passed_over(relay):
    """The next relay is asked; the evidence says which one it was."""
    with shelf() as liar:
        liar.things[f"/{QUICKNET}/info"] = relay.things[f"/{QUICKNET}/info"]
        put(liar, QUICKNET, 1000, number=1000, signature=ROUNDS[3][2])
        outcome = run(asking(liar, relay), f"drand://{QUICKNET}/1000", "crud/read")

    assert outcome.evidence["from"] == relay.url.removeprefix("http://")


@pytest.mark.parametrize("scheme", [CHAINED, UNCHAINED])
def test_the_newest_round_is_read(relay, scheme):
    """Without a number, the newest round of a chain of our own."""
    chain, sign = own_chain(scheme)
    number = int(time.time() - chain.genesis) // chain.period + 1
    before = sign(number - 1, chain.seed) if scheme == CHAINED else b""
    relay.things[f"/{chain.hash}/info"] = info_of(chain)
    put(relay, chain.hash, "latest", number=number, signature=sign(number, before).hex(), before=before.hex())

    outcome = run(asking(relay), f"drand://{chain.hash}", "crud/read")
    assert outcome.out["ok"] == sha256(sign(number, before)).digest()
    assert outcome.evidence["round"] == number


def test_an_old_round_is_not_the_newest(relay):
    """A relay that has fallen behind, or keeps rounds back, is not believed."""
    chain, sign = own_chain()
    relay.things[f"/{chain.hash}/info"] = info_of(chain)
    put(relay, chain.hash, "latest", number=1, signature=sign(1).hex())

    error = error_of(asking(relay, late=5), f"drand://{chain.hash}", "crud/read")
    assert (error.code, error.fault, error.transient) == ("drand/stale", "network", True)


def test_a_round_that_is_still_to_come_is_the_requestors_fault(relay):
    """Randomness is not known before its time."""
    error = error_of(asking(relay), f"drand://{QUICKNET}/99999999999", "crud/read")

    assert (error.code, error.fault) == ("drand/early", "requestor")


def test_the_parts_of_a_message_cannot_be_shifted():
    """The signature before has one length, so that no bytes of it can pass for a round's number."""
    chain, sign = own_chain(CHAINED)
    before = sign(1, chain.seed)
    good = sign(2, before)

    assert chain.verifies(Beacon(2, good, before))
    assert not chain.verifies(Beacon(2, good, before[:-1]))
    assert not chain.verifies(Beacon(2, good, before + b"\0"))
    assert chain.verifies(Beacon(1, before, b"whatever a relay says before the first round"))


@pytest.mark.parametrize(
    ("info", "code"),
    [
        (b"[]", "drand/format"),
        (b"{", "drand/format"),
        (b"{}", "drand/format"),
        (b'{"schemeID": "bls-unchained-on-g1"}', "drand/scheme"),
        (b'{"period": -1, "public_key": "", "genesis_time": 1, "groupHash": ""}', "drand/format"),
        (b'{"period": 1, "public_key": 5, "genesis_time": 1, "groupHash": ""}', "drand/format"),
        (404, "drand/absent"),
        (b" " * 70_000, "drand/too-large"),
    ],
)
def test_what_is_no_info_is_refused(relay, info, code):
    """Whatever a relay says, it is an error with a code."""
    relay.things[f"/{QUICKNET}/info"] = info

    assert error_of(asking(relay), f"drand://{QUICKNET}/1000", "crud/read").code == code


@pytest.mark.parametrize("uri", ["drand://", "drand://52db", f"drand://{QUICKNET}/0", f"drand://{QUICKNET}/x"])
def test_a_malformed_uri_is_refused_at_submission(uri):
    """And by the handler, as the requestor's fault."""
    assert list(check(uri, "crud/read", {})) != []
    assert (error_of(Given({}), uri, "crud/read").code, error_of(Given({}), uri, "crud/read").fault) == (
        "drand/uri",
        "requestor",
    )


def test_nobody_to_ask():
    """A worker without relays says so."""
    error = error_of(Given({}), f"drand://{QUICKNET}", "crud/read")

    assert (error.code, error.fault) == ("drand/unconfigured", "runner")
