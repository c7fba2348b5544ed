"""Requests to a real gate by hand: the tokens of the work-queue diagram, each member well made or not.

`Parties` has those of a stack whose gate runs. `push` and `pop` return a request in which members can be changed,
flipped or left out before anything links to them; `ask` leaves it in the inbox as a submitter would, and reads the
queue's answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from os import urandom
from secrets import token_hex
from time import sleep, time

from modules import numbers, salt
from principals import forge

from ipvm_queue.crypto import Signer, load_signer
from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.store import Keys
from ipvm_queue.ucan import Container, Receipt, read
from ipvm_queue.workflow import read as read_job
from ipvm_queue.workflow import sign

DELEGATION, INVOCATION = "ucan/dlg@1.0.0", "ucan/inv@1.0.0"
HOUR = 3600


def now() -> int:
    """Return Unix seconds."""
    return int(time())


def cid(token: bytes) -> Link:
    """Return the CID of a token."""
    return Link.of(token, DAG_CBOR)


def delegation(signer: Signer, audience: str, subject: str | None, command: str, **changes) -> bytes:
    """Return a delegation with any field changed; a change to `...` leaves it out."""
    payload = {"iss": signer.did, "aud": audience, "sub": subject, "cmd": command, "pol": [], "nonce": urandom(12)}
    payload |= {"exp": now() + HOUR, **changes}
    return forge(signer, DELEGATION, {name: value for name, value in payload.items() if value is not ...})


def invocation(signer: Signer, subject: str, command: str, args: dict, proofs: list[bytes], **changes) -> bytes:
    """Return an invocation with any field changed; a change to `...` leaves it out. `tag` and `header` are others."""
    how = {name: changes.pop(name) for name in ("header", "signature") if name in changes}
    tag = changes.pop("tag", INVOCATION)
    payload = {"iss": signer.did, "sub": subject, "cmd": command, "args": args, "prf": [cid(proof) for proof in proofs]}
    payload |= {"nonce": urandom(12), "exp": now() + 300, **changes}
    return forge(signer, tag, {name: value for name, value in payload.items() if value is not ...}, **how)


def flipped(token: bytes) -> bytes:
    """Return a token with one bit of its signature turned."""
    return token[:10] + bytes([token[10] ^ 1]) + token[11:]


def mirrored(token: bytes) -> bytes:
    """Return a token of a P-256 key with the other signature over the same message: s becomes n - s."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    s = int.from_bytes(token[35:67], "big")
    return token[:35] + (order - s).to_bytes(32, "big") + token[67:]


@dataclass
class Request:
    """A container's tokens by their names in the diagram, and the blocks that come along."""

    members: dict[str, bytes]
    blocks: dict[Link, bytes] = field(default_factory=dict)
    raw: bytes | None = None

    def container(self) -> bytes:
        """Return the container as it is sent."""
        return Container.of(self.members.values()).write() if self.raw is None else self.raw


class Parties:
    """A stack with a gate, from the side of those who stand before it."""

    def __init__(self, stack) -> None:
        self.stack = stack
        settings = stack.settings
        self.queue, self.service = load_signer(settings.queue_key), load_signer(settings.service_key)
        self.worker = load_signer(settings.worker_key)
        self.user, self.mallory, self.other = Signer.generate(), Signer.generate(), Signer.generate()
        self.keys = Keys(settings.queue)
        queue, service = self.queue.did, self.service.did
        self.one = delegation(self.queue, service, queue, "/queue/push")
        self.two = delegation(self.service, queue, service, "/ucan/proxy/sign")
        stack.redis.set(self.keys.block(Link.of(numbers())), numbers())

    # Jobs

    def document(self, signer: Signer | None = None, **jobs) -> bytes:
        """Return a signed job; by default of one task that nobody has had before."""
        jobs = jobs or {"only": self.task("add", salt(), 1)}
        body = read_job(json.dumps(jobs))
        return sign(body, signer or self.user).document

    @staticmethod
    def task(func: str, *args, **more) -> dict:
        """Return a task on numbers."""
        return {"type": "wasm/1.0", "with": str(Link.of(numbers())), "func": func, "input": list(args), **more}

    # Requests

    def push(self, *, flip="", without=(), document=None, by=None, run_by=None, eight=None, nine=None, **given):
        """Return a push: 9 by `by`, 8 by `run_by`, their payloads changed by `nine` and `eight`; `given` are others."""
        pusher, runner = by or self.user, run_by or self.user
        queue, service = self.queue.did, self.service.did
        document = document or self.document(runner)
        members = {
            "one": given.get("one", self.one),
            "again": given.get("again") or delegation(self.service, self.user.did, queue, "/queue/push"),
            "work": given.get("work") or delegation(self.service, self.user.did, service, "/"),
        }
        members |= {name: flipped(members[name]) for name in members if name == flip}
        args = {"job": cid(document)}
        eight = {"subject": service, "command": "/ipvm/run", "args": args, "proofs": [members["work"]], **(eight or {})}
        members["eight"] = invocation(runner, **eight)
        if flip == "eight":
            members["eight"] = flipped(members["eight"])
        chain = [members["one"], members["again"]][:: -1 if given.get("leaf_first") else 1]
        nine = {"subject": queue, "command": "/queue/push", "args": {"inv": cid(members["eight"])}, **(nine or {})}
        members["nine"] = invocation(pusher, **{"proofs": chain, **nine})
        if flip == "nine":
            members["nine"] = flipped(members["nine"])
        kept = {name: data for name, data in members.items() if name not in without}
        return Request(kept, {cid(document): document})

    def pop(self, *, flip="", without=(), by=None, ten=None, args=None, **given):
        """Return a pop (10) of the second worker; `ten` changes its payload, `given` replaces delegations."""
        worker = by or self.other
        queue, service = self.queue.did, self.service.did
        members = {
            "two": given.get("two", self.two),
            "three": given.get("three") or delegation(self.queue, self.other.did, queue, "/queue/pop"),
            "four": given.get("four") or delegation(self.queue, self.other.did, service, "/ucan/proxy/sign"),
        }
        members |= {name: flipped(members[name]) for name in members if name == flip}
        stall = {"name": f"{token_hex(4)}@tests", "queues": ["ipvm.wasm"], "slots": 1, **(args or {})}
        ten = {"subject": queue, "command": "/queue/pop", "args": stall, "proofs": [members["three"]], **(ten or {})}
        members["ten"] = invocation(worker, **ten)
        if flip == "ten":
            members["ten"] = flipped(members["ten"])
        return Request({name: data for name, data in members.items() if name not in without})

    def own(self, signer: Signer, command: str, args: dict, **changes):
        """Return a request that a principal makes on its own behalf."""
        return Request({"own": invocation(signer, signer.did, command, args, [], aud=self.queue.did, **changes)})

    # The inbox, as a submitter without our code would use it

    def leave(self, request: Request, name: str | None = None, *, taken_by: str | None = None) -> str:
        """Leave a request, in the inbox or among what a gate has taken; return its id."""
        name = name or token_hex(16)
        parts = {"c": request.container(), **{each.key: data for each, data in request.blocks.items()}}
        self.stack.redis.hset(self.keys.request(name), mapping=parts)
        self.stack.redis.expire(self.keys.request(name), 600)
        self.stack.redis.lpush(self.keys.inbox if taken_by is None else self.keys.at(taken_by), name)
        return name

    def answer(self, name: str) -> Receipt:
        """Wait for the answer to a request; it is the queue's own."""
        data = self.stack.wait_for(lambda: self.stack.redis.rpop(self.keys.reply(name)))
        receipt = read(data)
        assert receipt.issuer == self.queue.did
        return receipt

    def ask(self, request: Request) -> dict:
        """Return what the gate answers: `{"ok": …}` or `{"error": …}`."""
        return self.answer(self.leave(request)).out

    def refuses(self, request: Request, *rules: str) -> dict:
        """Assert that a request is refused by one of the rules, logged once, and leaves nothing; return the error."""
        before = self.at_rest()
        name = self.leave(request)
        error = self.answer(name).out.get("error")
        assert error, "it was accepted"
        assert (error["code"], error["rule"] in rules) == ("refused", True), error
        after = self.left()
        changed = sorted(name for name in before | after if before.get(name) != after.get(name))
        assert not changed, changed
        (line,) = self.stack.wait_for(lambda: self.refusals(name))
        assert error["rule"] in line
        return error

    def refusals(self, name: str) -> list[str]:
        """Return the lines of the gate's log about a refused request."""
        lines = self.stack.groups["gate"].log.read_text(errors="replace").splitlines()
        return [line for line in lines if name in line and "refused" in line]

    def at_rest(self) -> dict[str, str]:
        """Wait until nothing that was let in before goes on; return what is `left` then."""

        def still() -> dict[str, str] | None:
            first = self.left()
            sleep(0.1)
            return first if not self.going() and self.left() == first else None

        return self.stack.wait_for(still)

    def going(self) -> bool:
        """Whether messages are on their way, nodes ready in runs that go on, or leased in any: what has begun ends."""
        redis, runs = self.stack.redis, self.stack.redis.smembers(self.keys.live)
        parts = [f"{self.keys.run(run.decode())}:{part}" for run in runs for part in ("ready:0", "ready:1")]
        leased = next(redis.scan_iter(match=f"{self.keys.run('*')}:leases"), None)
        return bool(leased or redis.exists(*map(self.keys.list, ("ipvm.wasm", "ipvm.effects")), *parts))

    def left(self) -> dict[str, str]:
        """Return a digest of everything on the broker that a request could leave behind, and the broker's users."""
        passing = (":workers", ":slots:", ":sweep", ":gate:", ":gates", ":reply:", ":_kombu", "pidbox", ":celeryev")
        redis, found = self.stack.redis, {}
        for key in redis.scan_iter(match=f"{self.keys.prefix}*"):
            name = key.decode()
            if not any(part in name for part in passing):
                found[name] = sha256(redis.dump(key) or b"").hexdigest()
        return found | {f"user {user}": "" for user in redis.acl_users()}
