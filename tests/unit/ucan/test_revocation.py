"""Revocations: who may take what back, and that nobody else can."""

from __future__ import annotations

import pytest
from gates import mirrored
from principals import ALICE, BOB, CAROL, DAVE, MALLORY, NOW, bag, delegation_payload, forge, grant, invoke

from ipvm_queue.crypto import Signer
from ipvm_queue.ucan import Container, Delegation, Invocation, UcanError, Validator, read_revocation, revoke

ONE = grant(ALICE, BOB, ALICE, "/msg")
TWO = grant(BOB, CAROL, ALICE, "/msg/send", expiration=NOW - 1000)
THREE = grant(CAROL, DAVE, ALICE, "/msg/send")


def outcome(invocation, *tokens, proofs=()):
    """Return what is revoked, or the name of the first rule that is broken."""
    validator = Validator()
    authority = validator.invocation(invocation.data, bag(*proofs), now=NOW)
    try:
        return read_revocation(authority, bag(*tokens), validator)
    except UcanError as error:
        return error.name


def test_the_issuer_takes_its_delegation_back():
    """Who gave may take back, also what has lapsed; the revocation is the same token each time."""
    found = outcome(revoke(BOB, TWO.link), TWO)

    assert (found.revoked, found.revoker, found.expires) == (TWO.link, BOB.did, NOW - 1000)
    assert revoke(BOB, TWO.link) == revoke(BOB, TWO.link)


@pytest.mark.parametrize("signer", [ALICE, BOB, CAROL])
def test_everybody_upstream_takes_it_back(signer):
    """Who issued a delegation that it follows from may, with the chain as a witness."""
    path = [ONE.link, TWO.link, THREE.link]

    assert outcome(revoke(signer, THREE.link, path), ONE, TWO, THREE).revoked == THREE.link


@pytest.mark.parametrize(("suite", "count"), [("Ed25519", 1), ("P-256", 2), ("secp256k1", 1)])
def test_all_cids_of_a_delegation_are_named(suite, count):
    """A P-256 signature has two forms that verify, and with each the token has a CID; others have one."""
    signer = Signer.generate(suite)
    given = Delegation.issue(signer, BOB.did, signer.did, "/msg", expiration=None)
    found = outcome(revoke(signer, given.link), given)
    forms = [given, *(Delegation.parse(each) for each in (mirrored(given.data),) if count == 2)]

    assert found.links == {form.link for form in forms}
    for form in forms:
        assert outcome(revoke(signer, form.link), form).links == found.links


def test_who_holds_revoke_may_revoke_in_the_issuers_name():
    """`/ucan/revoke` can be delegated like any command."""
    power = grant(BOB, MALLORY, BOB, "/ucan/revoke")
    invocation = Invocation.issue(
        MALLORY, BOB.did, "/ucan/revoke", {"revoke": TWO.link}, [power.link], expiration=None, nonce=b""
    )

    assert outcome(invocation, TWO, proofs=[power]).revoker == BOB.did


OWN = grant(MALLORY, BOB, MALLORY, "/msg")
CLAIMED = grant(MALLORY, BOB, ALICE, "/")
POWERLINE = grant(BOB, CAROL, None, "/")
OTHER = grant(ALICE, BOB, ALICE, "/other")
STRANGERS = {
    "a stranger": (revoke(MALLORY, TWO.link), [TWO], "InvalidClaim"),
    "a stranger with the chain": (revoke(MALLORY, TWO.link, [ONE.link, TWO.link]), [ONE, TWO], "InvalidClaim"),
    "the audience": (revoke(DAVE, THREE.link, [ONE.link, TWO.link, THREE.link]), [ONE, TWO, THREE], "InvalidClaim"),
    "a chain about another subject": (revoke(MALLORY, TWO.link, [OWN.link, TWO.link]), [OWN, TWO], "InvalidSubject"),
    "a chain that does not start with the subject": (
        revoke(MALLORY, TWO.link, [CLAIMED.link, TWO.link]),
        [CLAIMED, TWO],
        "InvalidAudience",
    ),
    "a powerline of somebody else": (
        revoke(MALLORY, POWERLINE.link, [OWN.link, POWERLINE.link]),
        [OWN, POWERLINE],
        "InvalidClaim",
    ),
    "a chain that grants nothing": (revoke(ALICE, TWO.link, [OTHER.link, TWO.link]), [OTHER, TWO], "InvalidClaim"),
    "a gap in the chain": (revoke(ALICE, THREE.link, [ONE.link, THREE.link]), [ONE, THREE], "InvalidAudience"),
    "no witness": (revoke(ALICE, TWO.link, [ONE.link, TWO.link]), [TWO], "UnavailableProof"),
    "nothing sent along": (revoke(BOB, TWO.link), [], "UnavailableProof"),
    "an invocation": (revoke(BOB, (asked := invoke(BOB, BOB)).link), [asked], "Malformed"),
}


@pytest.mark.parametrize(("invocation", "tokens", "name"), STRANGERS.values(), ids=STRANGERS)
def test_a_strangers_revocation_is_none(invocation, tokens, name):
    """Nobody takes back what it neither gave nor passed on."""
    assert outcome(invocation, *tokens) == name


def test_a_forged_witness_is_none():
    """The delegations of the path are verified like others."""
    forged = forge(MALLORY, "ucan/dlg@1.0.0", delegation_payload(cmd="/msg"))
    link = next(iter(Container.of([forged]).tokens))
    validator = Validator()
    authority = validator.invocation(revoke(ALICE, TWO.link, [link, TWO.link]).data, {}, now=NOW)

    with pytest.raises(UcanError) as caught:
        read_revocation(authority, {link: forged, **bag(TWO)}, validator)
    assert caught.value.name == "InvalidSignature"


def test_a_witness_is_hashed_and_not_believed():
    """Another delegation under the CID of one of the path is no witness."""
    validator = Validator()
    authority = validator.invocation(revoke(MALLORY, TWO.link).data, {}, now=NOW)
    given = grant(MALLORY, BOB, MALLORY)

    with pytest.raises(UcanError) as caught:
        read_revocation(authority, {TWO.link: given.data}, validator)
    assert caught.value.name == "UnavailableProof"


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("/ucan/other", {"revoke": TWO.link}),
        ("/ucan/revoke", {}),
        ("/ucan/revoke", {"revoke": str(TWO.link)}),
        ("/ucan/revoke", {"revoke": TWO.link, "path": []}),
        ("/ucan/revoke", {"revoke": TWO.link, "path": [TWO.link, ONE.link]}),
        ("/ucan/revoke", {"revoke": TWO.link, "path": [ONE.link]}),
        ("/ucan/revoke", {"revoke": TWO.link, "path": "all"}),
        ("/ucan/revoke", {"revoke": TWO.link, "path": [TWO.link] * 17}),
        ("/ucan/revoke", {"revoke": TWO.link, "pth": []}),
    ],
)
def test_what_revokes_nothing_has_malformed_arguments(command, args):
    """A revocation names one delegation, and a path that ends with it."""
    invocation = Invocation.issue(BOB, BOB.did, command, args, expiration=None, nonce=b"")

    assert outcome(invocation, ONE, TWO) == "MalformedArguments"
