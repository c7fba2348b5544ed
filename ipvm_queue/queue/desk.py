"""The gate's desk: what is done with each kind of request, once the rules have been looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ipvm_queue.crypto import seal
from ipvm_queue.errors import MissingBlockError, UsageError
from ipvm_queue.ipld import Link
from ipvm_queue.queue.accept import accept_own, accept_pop, accept_receipts, accept_revocation
from ipvm_queue.queue.intake import Intake, claims_of, hand_out, not_claimed
from ipvm_queue.queue.let_in import read_answer
from ipvm_queue.queue.requests import CANCEL, EXCHANGE, HAND_OUT, POP, RECEIPTS
from ipvm_queue.store import Lease
from ipvm_queue.ucan import (
    LEEWAY,
    Container,
    InvalidClaimError,
    Invocation,
    MalformedArgumentsError,
    UcanError,
)
from ipvm_queue.ucan.classic import exchange, source_of
from ipvm_queue.ucan.proof import is_same
from ipvm_queue.ucan.revocation import REVOKE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ipvm_queue.crypto import Signer
    from ipvm_queue.errors import IpvmError
    from ipvm_queue.ipld import Value
    from ipvm_queue.queue.accept import Brought, Moment
    from ipvm_queue.queue.intake import Judged
    from ipvm_queue.queue.neighbours import Foreign
    from ipvm_queue.queue.proofs import Proofs
    from ipvm_queue.queue.push import WorkQueue
    from ipvm_queue.store import (
        Leases,
        RedisBlocks,
        RedisReplays,
        RedisRuns,
        Revocations,
        Users,
    )
    from ipvm_queue.workflow import DocumentLimits, Workflow


class Stores(NamedTuple):
    """What the gate writes to."""

    runs: RedisRuns
    blocks: RedisBlocks
    work: WorkQueue
    replays: RedisReplays
    revocations: Revocations
    leases: Leases
    users: Users
    foreign: Foreign


class Desk:
    """Answers requests for the queue whose key is `signer`'s; `proofs` are its own, `lease` counts in seconds.

    `complete` chooses functions for tasks that name none.
    """

    def __init__(
        self,
        signer: Signer,
        proofs: Proofs,
        stores: Stores,
        *,
        lease: float,
        limits: DocumentLimits,
        complete: Callable[[Workflow, Mapping[Link, bytes]], Workflow],
    ) -> None:
        self._signer = signer
        self._proofs = proofs
        self._stores = stores
        self._lease = int(lease)
        self._intake = Intake(signer, proofs, stores.work, stores.blocks, limits=limits, complete=complete)
        self._live: list[Lease] = []

    def answer(self, asked: Invocation, brought: Brought, moment: Moment) -> dict[str, Value]:
        """Do what is asked for and return what the answer says is `ok`; raises the `IpvmError` of a refusal."""
        answers = {
            RECEIPTS: self._receive,
            POP: self._pop,
            HAND_OUT: self._hand_out,
            CANCEL: self._cancel,
            EXCHANGE: self._exchange,
            REVOKE: self._revoke,
        }
        answer = answers.get(str(asked.cmd))
        if answer is None:
            raise MalformedArgumentsError(f"this gate does not know {asked.cmd}", token=asked.link)
        return answer(asked, brought, moment)

    # 8 and 9: jobs

    def judge(self, asked: Invocation, brought: Brought, moment: Moment) -> Judged:
        """Return a job that may run, for `enter`; raises the `IpvmError` of its refusal."""
        return self._intake.judge(asked, brought, moment, self._live)

    def enter(self, jobs: Sequence[Judged], gate: str) -> list[bytes | IpvmError | None]:
        """Have jobs run that a gate was asked for; as `Intake.enter` does."""
        return self._intake.enter(jobs, gate)

    def _receive(self, asked: Invocation, brought: Brought, moment: Moment) -> dict[str, Value]:
        bundle = brought.blocks().get(accept_receipts(asked, brought.tokens, moment))
        if bundle is None:
            raise MissingBlockError("the bundle was not sent along")
        proved = self._stores.foreign.judge(bundle, moment.revoked)
        self._claim(brought.request, asked)
        return {"receipts": [*self._stores.foreign.keep(proved)]}

    # 10 and 11: workers

    def _pop(self, asked: Invocation, brought: Brought, moment: Moment) -> dict[str, Value]:
        accepted = accept_pop(asked, brought.tokens, self._proofs, moment)
        self._claim(brought.request, accepted.pop)
        stores, stall = self._stores, accepted.stall
        links = [each.link for each in accepted.chain]
        before = [lease for lease in stores.leases.all() if lease.worker == asked.iss and lease.name == stall.name]
        ends = [moment.now + self._lease]
        ends += [each.exp for each in accepted.chain if each.exp is not None]
        lease = Lease(asked.link, asked.task, asked.iss, stall.name, stall.queues, min(ends), "", links)
        given: dict[str, Value] = {"lease": lease.until, "pop": asked.link}
        if stores.users.enforced:
            if stall.user and any(each.user == stall.user for each in before) and stall.user in stores.users.names():
                lease = lease._replace(user=stall.user)
            else:
                user = stores.users.make()
                lease = lease._replace(user=user.name)
                given["secret"] = seal(asked.iss, user.password.encode())
            given["user"] = lease.user
        stores.blocks.put_many(
            {link: data for link, data in brought.tokens.items() if link in (asked.link, *lease.links)}
        )
        stores.leases.put(lease)
        for each in before:
            if each.user and each.user != lease.user:
                stores.users.drop(each.user)
            stores.leases.end(each)
        self._live = [each for each in self._live if each not in before] + [lease]
        return given

    def _hand_out(self, asked: Invocation, brought: Brought, moment: Moment) -> dict[str, Value]:
        accept_own(asked, brought.tokens, moment)
        match asked.args:
            case {"run": str() as run, "pop": Link() as pop, **rest} if not rest:
                pass
            case _:
                raise MalformedArgumentsError(f"{HAND_OUT} takes {{run, pop}}", token=asked.link)
        lease = next((each for each in self._stores.leases.all() if each.pop == pop), None)
        if lease is None or lease.worker != asked.iss or lease.until <= moment.now:
            raise InvalidClaimError(f"{asked.iss} has no lease by {pop}", hint="pop again", token=asked.link)
        header = self._stores.runs.header(run)
        if header.status != "running" or not header.invocation or not header.push or not header.grants:
            raise UsageError(f"run {run} is {header.status}: there is nothing to hand out")
        if set(lease.queues).isdisjoint(self._stores.runs.queues(run)):
            raise InvalidClaimError(f"run {run} has no work on the queues of this lease", token=asked.link)
        try:
            let_in = read_answer(header.answer, moment.queue, run)
        except UcanError as error:
            self._stores.runs.cancel(run, f"{error.name}: {error.message}")
            raise
        data = hand_out(self._signer, lease, let_in, header.push, header.grants, now=moment.now)
        self._stores.runs.hand(run, pop, data)
        return {"handout": data}

    # Classic wallets

    def _exchange(self, asked: Invocation, brought: Brought, moment: Moment) -> dict[str, Value]:
        accept_own(asked, brought.tokens, moment)
        match asked.args:
            case {"jwt": str() as jwt, **rest} if not rest:
                granted = exchange(jwt, self._signer, moment.now, invoker=asked.iss, revoked=moment.revoked)
                return {"delegation": granted.data}
        raise MalformedArgumentsError(f"{EXCHANGE} takes {{jwt}}", token=asked.link)

    # Ends

    def _cancel(self, asked: Invocation, brought: Brought, moment: Moment) -> dict[str, Value]:
        accept_own(asked, brought.tokens, moment)
        match asked.args:
            case {"run": str() as run, "reason": str() as reason, **rest} if not rest:
                pass
            case _:
                raise MalformedArgumentsError(f"{CANCEL} takes {{run, reason}}", token=asked.link)
        header = self._stores.runs.header(run)
        if not any(is_same(asked.iss, one) for one in (header.requestor, moment.queue)):
            raise InvalidClaimError(f"run {run} is not {asked.iss}'s", token=asked.link)
        return {"run": run, "state": self._stores.runs.cancel(run, reason)}

    def _revoke(self, asked: Invocation, brought: Brought, moment: Moment) -> dict[str, Value]:
        found = accept_revocation(asked, brought.tokens, self._proofs, moment)
        stores = self._stores
        for link in found.links:
            stores.revocations.add(link, found.expires)
        jwt = source_of(moment.validator.form(brought.tokens[found.revoked]), moment.queue)
        if jwt is not None:  # else the wallet would have it exchanged again
            stores.revocations.add(jwt, None)
        ended = stores.leases.standing(found.links)
        for lease in ended:
            stores.users.drop(lease.user)
            stores.leases.end(lease)
        self._live = [each for each in self._live if each not in ended]
        cancelled = [
            header.run
            for header in stores.runs.live()
            if not found.links.isdisjoint(self._stands_on(header.invocation, header.push, header.grants))
        ]
        for run in cancelled:
            stores.runs.cancel(run, f"Revoked: {found.revoked} has been revoked")
        return {"revoked": found.revoked, "leases": len(ended), "runs": list(cancelled)}

    def _stands_on(self, job: Link | None, push: Link | None, grants: Link | None) -> set[Link]:
        if job is None or push is None or grants is None:
            return set()
        tokens = Container.read(self._stores.blocks.get(grants)).tokens
        return {link for one in (job, push) if one in tokens for link in Invocation.parse(tokens[one]).prf}

    def look_around(self, now: int) -> list[Lease]:
        """End the leases whose time is over, delete users that no lease has; return the leases that ended.

        What has been revoked and would have lapsed by now is forgotten.
        """
        stores = self._stores
        stores.revocations.forget(now - 2 * LEEWAY)  # a worker's clock may be behind
        leases = stores.leases.all()
        over = [lease for lease in leases if lease.until < now]
        for lease in over:
            stores.leases.end(lease)
        self._live = [lease for lease in leases if lease.until >= now]
        if stores.users.enforced:
            used = {lease.user for lease in self._live}
            for name in stores.users.names():
                if name not in used:
                    stores.users.drop(name)
        return over

    def look_next_door(self) -> list[Link]:
        """Fetch receipts that are awaited here from other queues on the broker; return them."""
        return self._stores.foreign.look(self._stores.revocations.all())

    def _claim(self, request: str, asked: Invocation) -> None:
        repeated = self._stores.replays.claim(request, claims_of(asked))
        if repeated is not None:
            raise not_claimed(repeated, asked)
