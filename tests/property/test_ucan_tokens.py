"""Tokens and containers of any content: what is written reads back, and no bytes bring a reader down."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multiformats import multibase
from principals import ALICE, BOB, NOW, bag, forge

from ipvm_queue.crypto import SUITES, Signer, base58
from ipvm_queue.ipld import cid_of
from ipvm_queue.ucan import Container, Delegation, Encoding, Invocation, UcanError, Validator

PEOPLE = [Signer.generate() for _ in range(4)]
VALIDATOR = Validator()
SIGNERS = {name: Signer.generate(name) for name in SUITES}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.binary(max_size=8) | texts
    | st.floats(allow_nan=False, allow_infinity=False) | st.builds(cid_of, st.integers(0, 9))
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
maps = st.dictionaries(texts, values, max_size=4)
times = st.none() | st.integers(-(2**53) + 1, 2**53 - 1)
segments = st.text(st.sampled_from("abc-_.:é0"), min_size=1, max_size=4)
commands = st.lists(segments, max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(st.sampled_from(list(SUITES)), commands, times, maps, st.data())
def test_delegations_read_back(suite, command, expiration, meta, data):
    """Every field of a delegation comes back as it was given, signed in any suite."""
    signer = SIGNERS[suite]
    not_before, nonce = data.draw(st.integers(0, NOW)), data.draw(st.binary(max_size=64))
    issued = Delegation.issue(
        signer, BOB.did, None, command, expiration=expiration, not_before=not_before, nonce=nonce, meta=meta
    )
    read = Validator().form(issued.data)

    assert read == issued
    assert (str(read.cmd), read.exp, read.nbf, read.nonce, read.meta) == (
        command, expiration, not_before, nonce, meta
    )  # fmt: skip


@given(maps, st.lists(st.integers(0, 99).map(cid_of), max_size=16), times, st.binary(max_size=64))
def test_invocations_read_back(args, proofs, expiration, nonce):
    """Every field of an invocation comes back as it was given; its Task does not depend on who asks."""
    issued = Invocation.issue(ALICE, BOB.did, "/a", args, proofs, expiration=expiration, nonce=nonce)
    read = Invocation.parse(issued.data)

    assert read == issued
    assert (read.args, list(read.prf), read.exp, read.nonce) == (args, proofs, expiration, nonce)
    assert read.task == Invocation.issue(BOB, BOB.did, "/a", args, expiration=None, nonce=nonce).task


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda tail: b"\x82\x58\x40" + bytes(64) + tail))
def test_no_bytes_bring_the_reader_down(data):
    """Bytes that are no token break a rule, and raise nothing else."""
    for parse in (Delegation.parse, Invocation.parse, Container.read):
        with pytest.raises(UcanError):
            parse(data)


@given(st.sampled_from(["ucan/dlg@1.0.0", "ucan/inv@1.0.0-rc.1"]), st.data())
@settings(max_examples=200)
def test_no_payload_brings_the_reader_down(tag, data):
    """A well-signed payload of any fields and types is a token or breaks a rule."""
    names = ["iss", "aud", "sub", "cmd", "pol", "args", "prf", "nonce", "exp", "nbf", "iat", "meta", "cause", "x"]
    likely = scalars | values | st.sampled_from([ALICE.did, BOB.did, "/a", "/", {}, [], b"", None])
    payload = data.draw(st.fixed_dictionaries({"iss": st.just(ALICE.did)}, optional=dict.fromkeys(names[1:], likely)))
    token = forge(ALICE, tag, payload)
    with suppress(UcanError):
        Validator().invocation(token, {}, now=NOW)

        assert payload["sub"] == ALICE.did


@given(st.lists(st.binary(max_size=32), max_size=8), st.sampled_from(Encoding))
def test_containers_read_back(tokens, encoding):
    """Any bytes travel in any encoding, sorted and without doubles."""
    written = Container.of(tokens).write(encoding)

    assert list(Container.read(written).tokens.values()) == sorted(set(tokens))
    assert Container.read(written).write(encoding) == written


@given(st.lists(st.binary(max_size=32), min_size=1, max_size=4), st.sampled_from(Encoding), st.data())
def test_a_changed_container_is_another_or_none(tokens, encoding, data):
    """A byte of the text changed makes other tokens or no container, unless it stands in gzip's own header."""
    written = bytearray(Container.of(tokens).write(encoding))
    place = data.draw(st.integers(1, len(written) - 1))
    written[place] ^= data.draw(st.integers(1, 255))
    try:
        read = Container.read(bytes(written))
    except UcanError:
        return

    assert encoding.is_gzipped or read.tokens != Container.of(tokens).tokens


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.permutations(range(4)))
def test_a_chain_is_valid_exactly_if_it_leads_from_the_subject_to_the_invoker(path, people):
    """Among four principals, a chain of proofs is valid if each goes on where the one before ended."""
    signers = [PEOPLE[place] for place in people]
    hops = list(zip([0, *path], path, strict=False))
    proofs = [
        Delegation.issue(signers[one], signers[other].did, signers[0].did, "/", expiration=None) for one, other in hops
    ]
    for invoker, signer in enumerate(signers):
        invocation = Invocation.issue(
            signer, signers[0].did, "/a", {}, [proof.link for proof in proofs], expiration=None
        )
        try:
            VALIDATOR.invocation(invocation.data, bag(*proofs), now=NOW)
            valid = True
        except UcanError:
            valid = False

        assert valid is (invoker == path[-1])


@given(st.binary(max_size=80))
def test_base58_is_that_of_multibase(data):
    """The fast base58 and the library's agree."""
    assert "z" + base58.encode(data) == str(multibase.encode(data, "base58btc"))
    assert base58.decode(base58.encode(data)) == data
