"""A bundle of the work-queue diagram, made by hand, each of whose tokens a test may make otherwise."""

from __future__ import annotations

from principals import NOW, principal

from ipvm_queue.effects import is_private, safety_of, uses
from ipvm_queue.ipld import DAG_CBOR, Link, cid_of
from ipvm_queue.plan import compile_plan
from ipvm_queue.queue import bundle
from ipvm_queue.queue.let_in import run_of
from ipvm_queue.queue.recompute import Registry
from ipvm_queue.ucan import Container, Delegation, Invocation, issue, resolve, task_link
from ipvm_queue.workflow import read, sign

Q, S, W, U, MALLORY = map(principal, ("queue", "service", "worker", "user", "mallory"))
OTHER_WORKER = principal("another worker")
MODULE = Link.of(b"a module")
LONG = NOW + 86400
REGISTRY = Registry(safety_of, is_private, uses)
SEEN = {"lease": NOW + 120}


def task(*args, **more):
    """Return a Wasm job."""
    return {"type": "wasm/1.0", "with": str(MODULE), "func": "f", "input": list(args), **more}


JOBS = {"a": task(1), "b": task({"from": "a"}, 2), "c": task({"from": "b"}, {"from": "a"})}


class World:
    """The parties, their delegations, and a job `a → b → c` that a worker has done.

    Any token can be given by its name (`1`, `2`, `3`, `4`, `7`, `8`, `9`, `10`, `11`), the others follow from it. `at`
    is when the worker signs, `came` what became of tasks that are not simply done: Result and `meta` by label.
    """

    def __init__(self, jobs=JOBS, at=NOW + 5, worker=W, user=U, queue=Q, came=None, **given):
        self.worker, self.user, self.queue, self.at, self.given = worker, user, queue, at, given
        grants = {
            "1": lambda: dlg(queue, user, queue, "/queue/push"),
            "2": lambda: dlg(S, queue, S, "/ucan/proxy/sign"),
            "3": lambda: dlg(queue, worker, queue, "/queue/pop"),
            "4": lambda: dlg(queue, worker, S, "/ucan/proxy/sign"),
            "7": lambda: dlg(S, user, S, "/"),
        }
        self.tokens = {name: self._given(name, make) for name, make in grants.items()}
        self.document = sign(read({"header": {"nonce": b"n"}, "jobs": jobs}), user).document
        link = Link.of(self.document, DAG_CBOR)
        self._add("8", lambda t: inv(user, S, "/ipvm/run", {"job": link}, t["7"], expiration=LONG))
        self._add("9", lambda t: inv(user, queue, "/queue/push", {"inv": t["8"].link}, t["1"]))
        stall = {"name": "w", "queues": ["ipvm.wasm"], "slots": 1}
        self._add("10", lambda t: inv(worker, queue, "/queue/pop", stall, t["3"]))
        names = {name: self.tokens[number].link for name, number in (("inv", "8"), ("push", "9"), ("pop", "10"))}
        self._add("11", lambda t: Invocation.parse(issue(queue, t["10"].task, {"ok": names}, SEEN, NOW + 1)[1]))
        seed = run_of(self.tokens["8"]).encode()
        self.plan = compile_plan(
            read(self.document), queue.did, link, S.did, safety=safety_of, private=is_private, seed=seed
        ).plan
        self.receipts, self.words, self.blocks, self.results = {}, {}, [], {}
        self.came = came or {}
        for node in self.plan:
            self._run(node)

    def _given(self, name, make):
        return self.given.get(name) or make()

    def _add(self, name, make):
        given = self.given.get(name)
        self.tokens[name] = given(self.tokens) if callable(given) else given or make(self.tokens)

    def _run(self, node):
        args = resolve(node.args, lambda each: self.results[each])
        ran = task_link(self.plan.subject_of(node), node.command, args, node.nonce)
        out, meta = self.came.get(node.label, ({"ok": f"{node.label} is done"}, {"gas": 1}))
        under = [self.results[each][0] for _, each in node.inputs]
        meta = meta | ({"under": under} if under else {})
        link, data = issue(self.worker, ran, out, meta, self.at, cause=self.tokens["11"].link)
        self.receipts[node.label] = Invocation.parse(data)
        self.results[node.task] = (link, out)
        self.words[node.label] = self.say(node.command, [ran], [link])

    def say(self, command, ran, receipts, signer=None, proofs=None, **extra):
        """Return the service's word (13s)."""
        proofs = [self.tokens["2"], self.tokens["4"]] if proofs is None else proofs
        args = {"cmd": command, "ran": ran, "rcpt": receipts}
        extra = {"expiration": None, "nonce": b"", **extra}
        return inv(signer or self.worker, S, "/ucan/proxy/sign", args, *proofs, **extra)

    def members(self, *, without=(), instead=None, label="c"):
        """Return the bytes of all members by name: `13r.a`, `13s.a`, `11`, `document`, …."""
        labels = [each for each in self.receipts if each <= label]
        found = {f"13r.{each}": self.receipts[each].data for each in labels}
        found |= {f"13s.{each}": self.words[each].data for each in labels}
        found |= {name: token.data for name, token in self.tokens.items()}
        found |= {"document": self.document} | (instead or {})
        return {name: data for name, data in found.items() if name not in without}

    def bundle(self, **changes):
        """Return the bundle."""
        return Container.of(self.members(**changes).values()).write()


def dlg(issuer, audience, subject, command, **extra):
    """Return a delegation that is good for a day."""
    extra = {"expiration": LONG, "nonce": b"n" * 12, **extra}
    return Delegation.issue(issuer, audience.did, subject.did, command, extra.pop("policy", []), **extra)


def inv(issuer, subject, command, args, *proofs, **extra):
    """Return an invocation that is good for five minutes."""
    extra = {"expiration": NOW + 300, "issued_at": NOW, "nonce": b"n" * 12, **extra}
    return Invocation.issue(issuer, subject.did, command, args, [each.link for each in proofs], **extra)


def handed(world_tokens, signer=Q, ran=None, at=NOW + 1, meta=None, **names):
    """Return a hand-out (11) with other names in it."""
    found = {name: world_tokens[number].link for name, number in (("inv", "8"), ("push", "9"), ("pop", "10"))}
    task_of = world_tokens["10"].task if ran is None else ran
    return Invocation.parse(issue(signer, task_of, {"ok": found | names}, SEEN if meta is None else meta, at)[1])


def flipped(data, place=20):
    """Return bytes with one bit changed: by default in a token's signature."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


ELSE = cid_of("something else")


def verify(data, asked=None):
    """Return the report on a bundle, with the registry that everybody has."""
    return bundle.verify(data, REGISTRY, asked)


def flaw(data, asked=None):
    """Return name and verdict of the first step that does not hold."""
    found = verify(data, asked).flaw
    return None if found is None else (found.name, found.verdict)
