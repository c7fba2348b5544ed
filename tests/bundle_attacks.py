"""Bundles of a job in each of which something is not as it should be, and what that is called."""

from __future__ import annotations

from bundles import ELSE, LONG, MALLORY, OTHER_WORKER, SEEN, Q, S, U, W, World, dlg, handed, inv, task
from principals import NOW

from ipvm_queue.queue.verdict import Verdict
from ipvm_queue.ucan import Invocation, issue


def one(**given):
    """Return a world whose job has one task."""
    return World({"a": task(1)}, **given)


def resigned(world, label="a", at=None, signer=None, **changes):
    """Return members in which a receipt is another one, with a word of its own for it."""
    old = world.receipts[label]
    values = {"ran": old.args["ran"], "out": old.args["out"]} | changes
    link, data = issue(signer or world.worker, values["ran"], values["out"], {}, at or world.at, cause=old.cause)
    return {f"13r.{label}": data, f"13s.{label}": world.say("/wasm/run", [values["ran"]], [link]).data}


ATTACKS = {
    "the worker signs with another worker's grants": (
        {"4": dlg(Q, OTHER_WORKER, S, "/ucan/proxy/sign")},
        ("service", Verdict.DELEGATED),
    ),
    "the worker pops with another worker's grant": (
        {"3": dlg(Q, OTHER_WORKER, Q, "/queue/pop")},
        ("pop", Verdict.DELEGATED),
    ),
    "what another worker popped": (
        {"10": inv(OTHER_WORKER, Q, "/queue/pop", {"name": "w"}, dlg(Q, OTHER_WORKER, Q, "/queue/pop"))},
        ("pop", Verdict.SWAPPED),
    ),
    "the hand-out is the worker's own": ({"11": lambda t: handed(t, W)}, ("hand-out", Verdict.DELEGATED)),
    "the hand-out names another job": ({"11": lambda t: handed(t, inv=ELSE)}, ("push", Verdict.SWAPPED)),
    "the hand-out names another push": ({"11": lambda t: handed(t, push=ELSE)}, ("push", Verdict.SWAPPED)),
    "the hand-out names another pop": ({"11": lambda t: handed(t, pop=ELSE)}, ("pop", Verdict.SWAPPED)),
    "the hand-out answers another Task": ({"11": lambda t: handed(t, ran=ELSE)}, ("pop", Verdict.SWAPPED)),
    "the hand-out says no lease": ({"11": lambda t: handed(t, meta={})}, ("hand-out", Verdict.MALFORMED)),
    "the hand-out is a refusal": (
        {"11": lambda t: Invocation.parse(issue(Q, t["10"].task, {"error": {"code": "refused"}}, SEEN, NOW)[1])},
        ("hand-out", Verdict.DELEGATED),
    ),
    "the proxy is for the queue, not the service": (
        {"4": dlg(Q, W, Q, "/ucan/proxy/sign")},
        ("service", Verdict.DELEGATED),
    ),
    "the proxy is for another command": ({"2": dlg(S, Q, S, "/ucan/proxy/signed")}, ("service", Verdict.DELEGATED)),
    "the queue may do everything, which is not to sign in another's name": (
        {"2": dlg(S, Q, S, "/")},
        ("service", Verdict.DELEGATED),
    ),
    "the service's policy says no": (
        {"2": dlg(S, Q, S, "/ucan/proxy/sign", policy=[["==", ".cmd", "/crud/read"]])},
        ("service", Verdict.DELEGATED),
    ),
    "the push grant is used to pop": ({"3": dlg(Q, W, Q, "/queue/push")}, ("pop", Verdict.DELEGATED)),
    "the pop grant is below what is invoked": ({"3": dlg(Q, W, Q, "/queue/pop/all")}, ("pop", Verdict.DELEGATED)),
    "another command with the same beginning": (
        {"10": lambda t: inv(W, Q, "/queue/popall", {}, t["3"])},
        ("pop", Verdict.SWAPPED),
    ),
    "the pop had ended before the hand-out": (
        {"3": dlg(Q, W, Q, "/queue/pop", expiration=NOW - 100)},
        ("pop", Verdict.EXPIRED),
    ),
    "the pop grant begins later": (
        {"3": dlg(Q, W, Q, "/queue/pop", not_before=NOW + 3600)},
        ("pop", Verdict.EARLY),
    ),
    "the pop came after the hand-out": (
        {"10": lambda t: inv(W, Q, "/queue/pop", {}, t["3"], issued_at=NOW + 200)},
        ("pop", Verdict.EARLY),
    ),
    "the proxy had ended when it was used": (
        {"4": dlg(Q, W, S, "/ucan/proxy/sign", expiration=NOW - 100)},
        ("service", Verdict.EXPIRED),
    ),
    "the push grant had ended": ({"1": dlg(Q, U, Q, "/queue/push", expiration=NOW - 100)}, ("push", Verdict.EXPIRED)),
    "the push names another job": (
        {"9": lambda t: inv(U, Q, "/queue/push", {"inv": ELSE}, t["1"])},
        ("push", Verdict.SWAPPED),
    ),
    "the push has bytes for a link": (
        {"9": lambda t: inv(U, Q, "/queue/push", {"inv": t["8"].link.bytes}, t["1"])},
        ("push", Verdict.SWAPPED),
    ),
    "the push policy says no": (
        {"1": dlg(Q, U, Q, "/queue/push", policy=[["==", ".size", 1]])},
        ("push", Verdict.DELEGATED),
    ),
    "the job had ended before the hand-out": (
        {"8": lambda t: inv(U, S, "/ipvm/run", {"job": ELSE}, t["7"], expiration=NOW - 100)},
        ("job", Verdict.EXPIRED),
    ),
    "the job is another's": (
        {"8": lambda t: inv(MALLORY, S, "/ipvm/run", {"job": ELSE}, t["7"])},
        ("job", Verdict.DELEGATED),
    ),
    "the job is for another service": (
        {"8": inv(U, U, "/ipvm/run", {"job": ELSE})},
        ("job", Verdict.SWAPPED),
    ),
    "the job is for another executor": (
        {"8": lambda t: inv(U, S, "/ipvm/run", {"job": ELSE}, t["7"], audience=MALLORY.did)},
        ("job", Verdict.SWAPPED),
    ),
    "the document is not the one of the job": (
        {"8": lambda t: inv(U, S, "/ipvm/run", {"job": ELSE}, t["7"], expiration=LONG)},
        ("job", Verdict.ALTERED),
    ),
    "the requestor may have jobs run, and not this": (
        {"7": dlg(S, U, S, "/ipvm/run")},
        ("grants", Verdict.DELEGATED),
    ),
    "the requestor's policy says no": (
        {"7": dlg(S, U, S, "/", policy=[["not", ["==", ".params[0]", 1]]])},
        ("grants", Verdict.DELEGATED),
    ),
    "the receipt is older than the hand-out": ({"at": NOW - 100}, ("time", Verdict.EARLY)),
    "the receipt is younger than the lease": ({"at": NOW + 3600}, ("time", Verdict.EXPIRED)),
}
