"""Validation: who may do what, for whom, when, and the first rule that says no."""

from __future__ import annotations

import itertools

import pytest
from principals import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    MALLORY,
    NOW,
    bag,
    delegation_payload,
    forge,
    grant,
    invoke,
    principal,
)  # fmt: skip

from ipvm_queue.crypto import SUITES
from ipvm_queue.ipld import cid_of
from ipvm_queue.ucan import (
    Invocation,
    MatchError,
    MemoryReplays,
    PromisePendingError,
    Token,
    UcanError,
    Validator,
)

LINK = cid_of("task")


def outcome(invocation, *proofs, **extra):
    """Return the name of the first rule that is broken, None if none is."""
    return refusal(Validator(), invocation, *proofs, **extra)[0]


def refusal(validator, invocation, *proofs, **extra):
    """Return the name of the first rule that is broken and the token that breaks it."""
    extra.setdefault("now", NOW)
    data = getattr(invocation, "data", invocation)
    try:
        validator.invocation(data, bag(*proofs), **extra)
    except UcanError as error:
        return error.name, error.token
    return None, None


def test_a_chain_of_two_is_valid_root_first():
    """Alice lets Bob, Bob lets Carol, Carol does it; the proofs go from the subject on."""
    one, two = grant(ALICE, BOB, ALICE), grant(BOB, CAROL, ALICE, "/msg/send")

    assert outcome(invoke(CAROL, ALICE, one, two), one, two) is None
    assert outcome(invoke(CAROL, ALICE, two, one), one, two) == "InvalidAudience"


@pytest.mark.parametrize("suite", SUITES)
def test_chains_go_across_suites(suite):
    """Each link is signed in the suite of its own issuer."""
    issuer, user = principal("issuer", suite), principal("user", suite)
    one, two = grant(issuer, BOB, issuer), grant(BOB, user, issuer)

    assert outcome(invoke(user, issuer, one, two), one, two) is None


def test_the_subject_needs_no_proof_and_others_do():
    """Whoever owns something may use it; nobody else without a chain."""
    assert outcome(invoke(ALICE, ALICE)) is None
    assert outcome(invoke(BOB, ALICE)) == "InvalidClaim"


def test_fragments_of_dids_do_not_count():
    """`did#key` is the principal `did`."""
    payload = delegation_payload(iss=f"{ALICE.did}#k", aud=f"{BOB.did}#k", sub=f"{ALICE.did}#other")
    proof = Validator().delegation(forge(ALICE, "ucan/dlg@1.0.0", payload), now=NOW)

    assert outcome(invoke(BOB, ALICE, proof), proof) is None


GOOD = grant(ALICE, BOB, ALICE)
FORGED = Token.open(forge(MALLORY, "ucan/dlg@1.0.0", delegation_payload()))
POWERLINE = grant(BOB, CAROL, None, "/")
BROKEN = {
    "a proof missing": ("UnavailableProof", invoke(BOB, ALICE, GOOD), ()),
    "a powerline at the root": ("InvalidClaim", invoke(CAROL, BOB, POWERLINE), (POWERLINE,)),
    "a stolen proof": ("InvalidAudience", invoke(MALLORY, ALICE, GOOD), (GOOD,)),
    "a proof by the invoker": (
        "InvalidAudience", invoke(MALLORY, ALICE, p := grant(MALLORY, MALLORY, ALICE)), (p,)),
    "a proof about another": ("InvalidSubject", invoke(BOB, DAVE, GOOD), (GOOD,)),
    "a link about another": (
        "InvalidSubject", invoke(CAROL, ALICE, GOOD, p := grant(BOB, CAROL, BOB)), (GOOD, p)),
    "a gap": ("InvalidAudience", invoke(DAVE, ALICE, GOOD, p := grant(CAROL, DAVE, ALICE)), (GOOD, p)),
    "another command": ("ImpossibleAttenuation", invoke(BOB, ALICE, GOOD, command="/crud"), (GOOD,)),
    "a command that only starts so": (
        "ImpossibleAttenuation", invoke(BOB, ALICE, GOOD, command="/msgs"), (GOOD,)),
    "a wider command": ("ImpossibleAttenuation", invoke(BOB, ALICE, GOOD, command="/"), (GOOD,)),
    "the same proof twice": ("InvalidAudience", invoke(BOB, ALICE, GOOD, GOOD), (GOOD,)),
    "a forged proof": (
        "InvalidSignature",
        Invocation.issue(BOB, ALICE.did, "/msg", {}, [FORGED.link], expiration=None),
        (FORGED,),
    ),
    "an invocation for a proof": (
        "Malformed",
        Invocation.issue(BOB, ALICE.did, "/msg", {}, [invoke(ALICE, ALICE, nonce=b"1").link], expiration=None),
        (invoke(ALICE, ALICE, nonce=b"1"),),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "invocation", "proofs"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_a_chain_is_refused_by_name(name, invocation, proofs):
    """Each way in which a chain does not hold has its rule, whether the validator is new or not."""
    validator = Validator()

    assert refusal(validator, invocation, *proofs)[0] == name
    assert refusal(validator, invocation, *proofs)[0] == name


def test_a_refusal_names_the_token_that_breaks_the_rule():
    """A broken proof is named, not the invocation that uses it."""
    late = grant(BOB, CAROL, ALICE, expiration=NOW - 100)
    invocation = invoke(CAROL, ALICE, GOOD, late)

    assert refusal(Validator(), invocation, GOOD, late) == ("Expired", late.link)


def test_a_powerline_passes_on_and_widens_nothing():
    """What Bob gets on whatever subject is Carol's too, as far as Bob may go himself."""
    narrow = grant(ALICE, BOB, ALICE, "/msg/send")

    assert outcome(invoke(CAROL, ALICE, narrow, POWERLINE), narrow, POWERLINE) is None
    assert outcome(invoke(CAROL, ALICE, narrow, POWERLINE, command="/crud"), narrow, POWERLINE) == (
        "ImpossibleAttenuation"
    )


def test_a_wider_link_grants_no_more_than_the_narrower_before_it():
    """A chain is the intersection of its links: widening in the middle does no harm and no good."""
    narrow, wide = grant(ALICE, BOB, ALICE, "/msg/send"), grant(BOB, CAROL, ALICE, "/")

    assert outcome(invoke(CAROL, ALICE, narrow, wide), narrow, wide) is None
    assert outcome(invoke(CAROL, ALICE, narrow, wide, command="/msg"), narrow, wide) == "ImpossibleAttenuation"


def test_policies_of_every_link_bind():
    """All of them have to hold for the args; the one that does not is named."""
    one = grant(ALICE, BOB, ALICE, policy=[["<", ".n", 10]])
    two = grant(BOB, CAROL, ALICE, policy=[[">", ".n", 5]])

    for number, expected in ((7, None), (12, "MatchError"), (3, "MatchError")):
        assert outcome(invoke(CAROL, ALICE, one, two, args={"n": number}), one, two) == expected
    assert refusal(Validator(), invoke(CAROL, ALICE, one, two, args={"n": 3}), one, two)[1] == two.link


@pytest.mark.parametrize(
    ("offset", "leeway", "expected"),
    [(0, 0, None), (1, 0, "Expired"), (60, 60, None), (61, 60, "Expired"), (-1000, 0, None)],
)
def test_expiry_counts_to_the_second(offset, leeway, expected):
    """`exp` itself is in time; after it, clocks may differ by the leeway, for proofs as for invocations."""
    proof = grant(ALICE, BOB, ALICE, expiration=NOW)
    ending = invoke(ALICE, ALICE, expiration=NOW)

    assert outcome(ending, now=NOW + offset, leeway=leeway) == expected
    assert outcome(invoke(BOB, ALICE, proof), proof, now=NOW + offset, leeway=leeway) == expected


@pytest.mark.parametrize(
    ("offset", "leeway", "expected"),
    [(0, 0, None), (-1, 0, "TooEarly"), (-60, 60, None), (-61, 60, "TooEarly"), (1000, 0, None)],
)
def test_not_before_counts_to_the_second(offset, leeway, expected):
    """`nbf` itself is in time; in an invocation, where nobody issues it, it is honoured."""
    proof = grant(ALICE, BOB, ALICE, not_before=NOW)
    payload = invoke(ALICE, ALICE).token.payload | {"nbf": NOW}
    early = forge(ALICE, "ucan/inv@1.0.0", payload)

    assert outcome(early, now=NOW + offset, leeway=leeway) == expected
    assert outcome(invoke(BOB, ALICE, proof), proof, now=NOW + offset, leeway=leeway) == expected


def test_iat_decides_nothing():
    """When an invocation says that it was made is a claim."""
    assert outcome(invoke(ALICE, ALICE, issued_at=NOW + 10**6)) is None


def test_the_executor_is_the_audience_and_else_the_subject():
    """Audience wins over subject; an executor takes only what is addressed to it, under any of its DIDs."""
    plain, addressed = invoke(ALICE, ALICE), invoke(ALICE, ALICE, audience=BOB.did)

    assert outcome(plain, audience=ALICE.did) is None
    assert outcome(plain, audience=BOB.did) == "InvalidAudience"
    assert outcome(addressed, audience=BOB.did) is None
    assert outcome(addressed, audience=ALICE.did) == "InvalidAudience"
    assert outcome(addressed, audience=[CAROL.did, BOB.did]) is None
    assert outcome(addressed) is None


def test_the_cheap_rules_come_first():
    """Of several broken rules the first in order is named: audience, signature, time, proofs, chain."""
    forged = forge(BOB, "ucan/inv@1.0.0", invoke(ALICE, ALICE, expiration=1).token.payload)
    late = invoke(BOB, ALICE, GOOD, expiration=1)

    assert outcome(forged, audience=BOB.did) == "InvalidAudience"
    assert outcome(forged, audience=ALICE.did) == "InvalidSignature"
    assert outcome(late) == "Expired"
    assert outcome(invoke(MALLORY, DAVE, GOOD)) == "UnavailableProof"


def test_time_and_revocation_are_looked_at_every_time():
    """What was valid a moment ago and is remembered is refused once its time is over or it is revoked."""
    validator = Validator()
    proof = grant(ALICE, BOB, ALICE, expiration=NOW)
    invocation = invoke(BOB, ALICE, proof)

    assert refusal(validator, invocation, proof)[0] is None
    assert refusal(validator, invocation, proof, now=NOW + 61) == ("Expired", proof.link)
    assert refusal(validator, invocation, proof, revoked={proof.link}) == ("Revoked", proof.link)
    assert refusal(validator, invocation, proof, revoked={invocation.link}) == ("Revoked", invocation.link)
    assert refusal(validator, invocation, proof, audience=BOB.did)[0] == "InvalidAudience"
    assert refusal(validator, invocation)[0] == "UnavailableProof"
    assert refusal(validator, invocation, proof)[0] is None


def test_proofs_are_hashed_and_not_believed():
    """Bytes under another token's CID are no proof."""
    other = grant(ALICE, BOB, ALICE, "/")
    with pytest.raises(UcanError) as caught:
        Validator().invocation(invoke(BOB, ALICE, GOOD).data, {GOOD.link: other.data}, now=NOW)

    assert caught.value.name == "UnavailableProof"


def test_replays_are_refused_until_the_invocation_expires():
    """What came once does not come again; without a nonce, doing it again is the same as doing it once."""
    clock = [float(NOW)]
    replays = MemoryReplays(lambda: clock[0])
    validator = Validator()
    once = invoke(ALICE, ALICE, expiration=NOW + 10)
    pure = invoke(ALICE, ALICE, nonce=b"")

    assert refusal(validator, once, replays=replays)[0] is None
    assert refusal(validator, once, replays=replays) == ("Replay", once.link)
    assert refusal(validator, pure, replays=replays)[0] is None
    assert refusal(validator, pure, replays=replays)[0] is None
    clock[0] += 10 + 60
    assert refusal(validator, once, replays=replays, now=NOW + 70)[0] == "Replay"
    clock[0] += 1
    assert replays.is_first(once.replay_key, None)
    assert not replays.is_first(once.replay_key, None)


def test_an_invalid_invocation_is_no_replay_yet():
    """Only what was valid is remembered, so that nobody can spoil another's invocation by sending it too early."""
    replays = MemoryReplays(lambda: float(NOW))
    invocation = invoke(BOB, ALICE, GOOD)

    assert outcome(invocation, replays=replays) == "UnavailableProof"
    assert outcome(invocation, GOOD, replays=replays) is None


def test_promises_are_judged_when_they_are_kept():
    """The gate lets pass what hangs on a promise; the last look before execution does not."""
    proof = grant(ALICE, BOB, ALICE, policy=[["!=", ".path", "/etc"], ["==", ".n", 1]])
    invocation = invoke(BOB, ALICE, proof, args={"path": {"await/ok": LINK}, "n": 1})
    authority = Validator().invocation(invocation.data, bag(proof), now=NOW)

    assert not authority.settled
    assert authority.invocation.awaits == {LINK}
    with pytest.raises(PromisePendingError, match=str(LINK)):
        authority.authorise()
    authority.authorise({"path": "/tmp", "n": 1})
    with pytest.raises(MatchError):
        authority.authorise({"path": "/etc", "n": 1})
    with pytest.raises(MatchError):
        authority.authorise({"path": "/tmp", "n": {"await/ok": LINK}})
    wrong = invoke(BOB, ALICE, proof, args={"path": {"await/ok": LINK}, "n": 2})
    assert outcome(wrong, proof) == "MatchError"


def test_without_promises_everything_is_settled_at_once():
    """An invocation with plain args can be executed as it is."""
    authority = Validator().invocation(invoke(BOB, ALICE, GOOD).data, bag(GOOD), now=NOW)

    assert authority.settled
    authority.authorise()
    assert authority.proofs == (GOOD,)


def test_a_delegation_is_valid_by_itself_or_with_those_before_it():
    """A holder can check what it was given: its form, signature, time and audience, and the chain behind it."""
    two = grant(BOB, CAROL, ALICE)
    validator = Validator()

    assert validator.delegation(two.data, [GOOD.data], now=NOW, audience=CAROL.did) == two
    assert validator.delegation(POWERLINE.data, [GOOD.data], now=NOW) == POWERLINE
    for data, proofs, extra, name in (
        (two.data, [GOOD.data], {"audience": BOB.did}, "InvalidAudience"),
        (two.data, [two.data], {}, "InvalidAudience"),
        (two.data, [grant(DAVE, BOB, DAVE).data], {}, "InvalidSubject"),
        (two.data, [POWERLINE.data], {}, "InvalidClaim"),
        (two.data, [GOOD.data], {"revoked": {two.link}}, "Revoked"),
        (two.data, [GOOD.data], {"revoked": {GOOD.link}}, "Revoked"),
        (grant(ALICE, BOB, ALICE, expiration=5).data, [], {}, "Expired"),
        (forge(MALLORY, "ucan/dlg@1.0.0", delegation_payload()), [], {}, "InvalidSignature"),
    ):
        with pytest.raises(UcanError) as caught:
            validator.delegation(data, proofs, now=NOW, **extra)
        assert caught.value.name == name


def test_what_is_remembered_is_bounded():
    """Tokens without end do not fill the memory, and go on being validated."""
    validator = Validator(max_bytes=60_000)
    for number in range(200):
        proof = grant(ALICE, BOB, ALICE, nonce=bytes([number]))

        assert refusal(validator, invoke(BOB, ALICE, proof), proof)[0] is None
    assert 0 < len(validator._delegations) < 10
    assert 0 < len(validator._invocations) < 10
    assert 0 < len(validator._authorities) < 10


def test_a_policy_that_costs_too_much_is_named_by_its_proof():
    """Whoever reads the refusal learns whose policy could not be judged; the first token named stays."""
    costly = grant(ALICE, BOB, ALICE, policy=[["all", ".x", ["and", [["!=", ".[:]" + "[:]" * 60, 1]] * 300]]])
    invocation = invoke(BOB, ALICE, costly, args={"x": [[0] * 100] * 30})
    with pytest.raises(MatchError, match="steps") as caught:
        Validator().invocation(invocation.data, bag(costly), now=NOW)

    assert caught.value.token == costly.link
    assert caught.value.on(invocation.link).token == costly.link


def test_sixteen_proofs_are_taken():
    """The longest chain there may be is valid."""
    people = [principal(f"p{number}") for number in range(17)]
    chain = [grant(one, other, people[0]) for one, other in itertools.pairwise(people)]

    assert len(chain) == 16
    assert outcome(invoke(people[-1], people[0], *chain), *chain) is None
