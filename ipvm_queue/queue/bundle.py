"""Verifying a bundle offline: a container with receipts and all that they hang on.

A bundle holds, for each receipt (13r), the service's word for it (13s), the queue's hand-out (11), the pop (10), the
push (9), the job's invocation (8) with its document, the delegations of all of these, and the blocks of large Results;
and the same for the receipts that its arguments were taken from, and for those beneath it, of a further job that it had
run. It is read with no network and no store. What it proves: the worker was entitled as of the hand-out, unless
something was revoked, which cannot be known offline.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

from ipvm_queue.ipld import Link, encode
from ipvm_queue.queue import entitled
from ipvm_queue.queue.beneath import RUN_JOB, beneath, check_document, check_results, further_job
from ipvm_queue.queue.grants import Grants
from ipvm_queue.queue.members import Members
from ipvm_queue.queue.recompute import Job, Jobs, Known, Match, Registry
from ipvm_queue.queue.requests import PROXY_SIGN, RUN
from ipvm_queue.queue.unrun import unrun
from ipvm_queue.queue.verdict import Finding, Flaw, Report, Step, Verdict, verdict_of
from ipvm_queue.ucan import UcanError
from ipvm_queue.ucan.proof import is_same
from ipvm_queue.ucan.receipt import COMMAND
from ipvm_queue.ucan.secret import is_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ipvm_queue.ipld import Value
    from ipvm_queue.queue.entitled import HandOut
    from ipvm_queue.ucan import Authority, Invocation

Found = TypeVar("Found")


def verify(data: bytes, registry: Registry, asked: bytes | Link | None = None) -> Report:
    """Return what is to be said of a bundle; raises `MalformedError` for bytes that are no container.

    `registry` says of effects what the queue's own does, for jobs are compiled again (`effects.safety_of`,
    `effects.is_private`).
    `asked` is the job's invocation (8) whose answer the bundle is to be, as its bytes or its CID. With its bytes the
    reader believes nobody but himself and the service that it names.
    """
    members = Members(data)
    mine = members.add(asked).link if isinstance(asked, bytes) else asked
    return _Reader(members, registry, mine).report()


class _Case:
    """One receipt, those that it rests on, and what has been found out of it so far."""

    def __init__(self, receipt: Invocation, inputs: list[Link]) -> None:
        self.receipt = receipt
        self.inputs = inputs
        self.beneath = beneath(receipt.meta)
        self.steps: list[Step] = []
        self.result: dict[str, Value] = {}
        self.word: Authority | None = None
        self.queues: list[str] | None = None
        self.handed: HandOut | None = None
        self.job: tuple[Authority, Link] | None = None
        self.compiled: Job | None = None
        self.matches: list[Match] | None = None
        self.lasting = True

    @property
    def rests_on(self) -> list[Link]:
        """The receipts that were there before it: those of its inputs, and those beneath it."""
        return [*self.inputs, *(self.beneath.receipts if self.beneath else ())]

    @property
    def flaw(self) -> Step | None:
        """The first step that does not hold."""
        return next((step for step in self.steps if not step.holds), None)

    @property
    def unrun(self) -> str:
        """Why the task was not run, empty for one that was."""
        return unrun(self.receipt.meta, self.result)

    def is_of(self, job: Link | None) -> bool:
        """Whether it was made for a job (by its 8)."""
        return self.handed is not None and self.handed.job == job

    def known(self, job: Link | None = None) -> Known:
        """Return what this receipt says to a job (by its 8): to those of its receipts that rest on it, and to who asks.

        To another job than its own it says nothing of a task that was not run, nor of a pure one's promises where they
        came to what they did because of that.
        """
        own, near = self.receipt.args.get("ran"), self.is_of(job)
        promised = [each.node.task for each in self.matches or () if near or self.lasting or not each.node.pure]
        told = [own, *promised] if near or not self.unrun else []
        addresses = frozenset(link for link in told if isinstance(link, Link))
        return Known(self.receipt.link, self.result, addresses, self.unrun)


class _Reader:
    def __init__(self, members: Members, registry: Registry, mine: Link | None) -> None:
        self._members = members
        self._registry = registry
        self._mine = mine
        self._jobs = Jobs(registry, members.meter)
        self._powers: dict[tuple[str, str], Grants] = {}
        self._saying: dict[Link, list[Invocation]] = defaultdict(list)
        self._cases: dict[Link, _Case] = {}
        for each in members.invocations.values():
            if str(each.cmd) == PROXY_SIGN:
                for link in _list(each.args.get("rcpt")):
                    self._saying[link].append(each)

    def report(self) -> Report:
        """Judge every receipt, those that others rest on first."""
        order, inputs = self._order()
        for link in order:
            self._cases[link] = _Case(self._members.invocations[link], inputs[link])
            self._judge(self._cases[link])
        self._members.used.update(self._cases)  # not before: one that was changed stands in for what others miss
        asked, labels = ([], {}) if self._mine is None else self._asked(self._mine)
        asked = [*self._whole(), *asked]
        used = {link for case in self._cases.values() for link in case.rests_on}
        findings = [self._finding(self._cases[link], is_input=link in used, labels=labels) for link in order]
        findings.sort(key=lambda each: each.is_input)
        return Report(tuple(findings), tuple(asked), self._members.unused)

    def _whole(self) -> list[Step]:
        """Look whether a receipt is missing that something here was made for."""
        name = "the receipt (13r)"
        if not self._cases:
            flaw = self._members.absent(Link.of(b""), name, _is_task)
            verdict = flaw.verdict if flaw.verdict is Verdict.ALTERED else Verdict.MISSING
            return [
                Step("receipt", verdict, f"{name} is {'not to be read' if verdict != Verdict.MISSING else 'not here'}")
            ]
        for words in self._saying.values():
            for word in words:
                said = _list(word.args.get("rcpt"))
                if not any(link in self._cases for link in said):
                    flaw = self._members.absent(said[0], name, _is_task)
                    return [Step("receipt", flaw.verdict, flaw.detail)]
        return []

    def _order(self) -> tuple[list[Link], dict[Link, list[Link]]]:
        """Return the receipts of tasks, each after those that it rests on, and which those are."""
        receipts = {link: each for link, each in self._members.invocations.items() if str(each.cmd) == COMMAND}
        causes = {each.cause for each in receipts.values() if each.cause is not None}
        inputs = {link: self._under(each) for link, each in receipts.items() if link not in causes and _is_task(each)}
        order: dict[Link, None] = {}
        for top in inputs:
            ahead = [(top, False)]
            while ahead:
                link, seen = ahead.pop()
                if seen:
                    order[link] = None
                elif link in inputs and link not in order:
                    below = beneath(receipts[link].meta)
                    ahead.append((link, True))
                    ahead += [(each, False) for each in (*inputs[link], *(below.receipts if below else ()))]
        return list(order), inputs

    def _under(self, receipt: Invocation) -> list[Link]:
        under = receipt.meta.get("under", [])
        return _list(self._members.blocks.get(under) if isinstance(under, Link) else under)

    # One receipt

    def _judge(self, case: _Case) -> None:
        looks: tuple[tuple[str, Callable[[_Case], str]], ...] = (
            ("receipt", self._receipt),
            ("service", self._service),
            ("queue", self._queue),
            ("hand-out", self._hand_out),
            ("pop", self._pop),
            ("push", self._push),
            ("job", self._job),
            ("task", self._task),
            ("beneath", self._beneath),
            ("grants", self._grants),
            ("time", self._time),
        )
        for name, look in looks:
            if name == "beneath" and case.beneath is None and not _runs_job(case):
                continue
            try:
                case.steps.append(Step(name, Verdict.OK, look(case)))
            except Flaw as flaw:
                case.steps.append(Step(name, flaw.verdict, flaw.detail))
        said = "not to be known offline: entitled as of the hand-out, unless a delegation had been revoked"
        case.steps.append(Step("revocation", Verdict.UNKNOWN, said))

    def _receipt(self, case: _Case) -> str:
        receipt, members = case.receipt, self._members
        members.verify(receipt, "the receipt (13r)")
        match receipt.args:
            case {"ran": Link(), "out": out, **rest} if not rest and is_same(receipt.iss, receipt.sub):
                pass
            case _:
                raise Flaw(Verdict.MALFORMED, "the receipt (13r) is not its issuer's {ran, out}")
        if isinstance(out, Link):
            out = members.block(out, "the Result")
        if not isinstance(out, dict) or len(out) != 1 or not out.keys() & {"ok", "error"}:
            raise Flaw(Verdict.MALFORMED, "the Result is neither {ok} nor {error}")
        case.result = out
        under = receipt.meta.get("under", [])
        if isinstance(under, Link):
            members.block(under, "the list of inputs")
        return f"signed by {receipt.iss}, of the Task {receipt.args['ran']}"

    def _service(self, case: _Case) -> str:
        case.word = entitled.service_word(self._members, case.receipt, self._saying.get(case.receipt.link, []))
        return f"said in the name of {case.word.invocation.sub}"

    def _queue(self, case: _Case) -> str:
        case.queues = entitled.queue_between(_found(case.word))
        return f"the service lets {', '.join(case.queues)} pass its signing on"

    def _hand_out(self, case: _Case) -> str:
        case.handed = entitled.hand_out(self._members, case.receipt, _found(case.queues))
        return f"by {case.handed.receipt.iss}, good until {case.handed.until}"

    def _pop(self, case: _Case) -> str:
        return f"by {entitled.pop(self._members, case.receipt, _found(case.handed))}"

    def _push(self, case: _Case) -> str:
        return f"by {entitled.push(self._members, _found(case.handed))}"

    def _job(self, case: _Case) -> str:
        handed, service = _found(case.handed), _found(case.word).invocation.sub
        authority, document = case.job = entitled.job(self._members, handed, service)
        case.compiled = self._compiled(authority.invocation, document, handed.receipt.iss)
        return f"by {authority.invocation.iss}, of the document {document}"

    def _compiled(self, asked: Invocation, document: Link, queue: str) -> Job:
        return self._jobs.job(self._members.data(document, "the job's document"), document, asked, queue)

    def _task(self, case: _Case) -> str:
        ran, command = case.receipt.args.get("ran"), _found(case.word).invocation.args["cmd"]
        compiled, job = _found(case.compiled), _found(case.handed).job
        there = [self._cases[link] for link in case.inputs if link in self._cases]
        known = [each.known(job) for each in there]
        matches = compiled.matches(ran, case.result, known, case.unrun) if isinstance(ran, Link) else []
        case.matches = matches or None
        case.lasting = not case.unrun and all(each.lasting for each in there if each.is_of(job))
        self._there(case.inputs, "the receipt of an input,", "its input")
        if not matches:
            raise Flaw(Verdict.SWAPPED, f"{ran} is no Task of the job, with these inputs")
        other = next((match.node.command for match in matches if match.node.command != command), None)
        if other is not None:
            raise Flaw(Verdict.SWAPPED, f"the service's word (13s) is for {command}, the task is {other}")
        after = "" if not there else ", from a receipt" if len(there) == 1 else f", from {len(there)} receipts"
        return f"it is {', '.join(repr(match.node.label) for match in matches)}{after}"

    def _there(self, links: list[Link], name: str, short: str) -> list[_Case]:
        """Return the cases of receipts that another rests on; raises a `Flaw` unless all are there and hold."""
        missing = [link for link in links if link not in self._cases]
        if missing:
            raise self._members.absent(missing[0], name, _is_task)
        there = [self._cases[link] for link in links]
        for each in there:
            if each.flaw is not None:
                verdict, detail = each.flaw.verdict, each.flaw.detail
                raise Flaw(verdict, f"{short} {each.receipt.link} does not hold: {each.flaw.name}: {detail}")
        return there

    def _beneath(self, case: _Case) -> str:
        """Look whether a further job was run in the requestor's name, and came to what the receipt says of it."""
        if case.beneath is None:
            if "ok" in case.result:
                raise Flaw(Verdict.MISSING, "it tells of a further job, and names no receipts beneath it")
            return "no further job was run"
        if not _runs_job(case):
            raise Flaw(Verdict.SWAPPED, f"it names a further job, and its task is no {RUN_JOB}")
        authority, parent = _found(case.job)
        job = authority.invocation
        asked, document = further_job(self._members, case.beneath, case.receipt, job)
        there = self._there(case.beneath.receipts, "a receipt beneath it,", "what is beneath it,")
        further = self._jobs.workflow(self._members.data(document, "the further job's document"), document)
        for match in _found(case.matches):
            self._jobs.spend(len(encode(match.args)))
            check_document(match.args, further, parent)
        compiled = self._compiled(asked, document, _found(case.handed).receipt.iss)
        own = [each for each in there if "error" in each.result and each.is_of(asked.link)]
        untold = {match.node.label for each in own for match in each.matches or ()}
        check_results(case.result, compiled, [each.known(asked.link) for each in there], untold)
        several = "a receipt" if len(there) == 1 else f"{len(there)} receipts"
        return f"{several} of a further job, which {asked.iss} had run in the name of {job.iss}"

    def _grants(self, case: _Case) -> str:
        """Look whether the requestor might have the service do this: some chain covers it, on its resolved args."""
        job, at = _found(case.job)[0].invocation, _found(case.handed).at
        key = (job.sub, job.iss)
        if key not in self._powers:
            self._powers[key] = Grants(self._members.about(job.sub), *key, self._members.validator)
        meter = self._members.meter
        for node, args, resolved in _found(case.matches):
            for command, given in ((node.command, args), *self._registry.uses(node.command, args)):
                try:
                    self._powers[key].allow(command, given, now=at, revoked=(), promises=not resolved, meter=meter)
                except UcanError as error:
                    raise Flaw(verdict_of(error), f"{command}: {error.message} ({error.name})") from error
        return f"{job.iss} may have it done"

    def _time(self, case: _Case) -> str:
        bounds = _found(case.compiled).plan.bounds
        seconds = max(bounds[match.node.bounds].time for match in _found(case.matches))
        times = [self._cases[link].receipt.iat or 0 for link in case.rests_on if link in self._cases]
        return entitled.within(case.receipt, _found(case.handed), seconds, times)

    # The whole

    def _asked(self, mine: Link) -> tuple[list[Step], dict[Link, list[str]]]:
        """Look whether receipts answer the job that the reader asks about."""
        try:
            labels = self._answers(mine)
        except Flaw as flaw:
            return [Step("asked", flaw.verdict, flaw.detail)], {}
        if labels:
            return [Step("asked", Verdict.OK, f"answers {mine}")], labels
        return [Step("asked", Verdict.SWAPPED, f"no receipt here answers a task of {mine}")], {}

    def _answers(self, mine: Link) -> dict[Link, list[str]]:
        """Return the labels of the tasks of a job (8) that receipts answer, also those made for another job.

        What another job had done in the world is no answer; what it had computed is.
        """
        name = "the job that is asked about"
        asked = self._members.invocation(mine, RUN, name)
        self._members.verify(asked, name)
        document = asked.args.get("job")
        if str(asked.cmd) != RUN or not isinstance(document, Link):
            raise Flaw(Verdict.MALFORMED, f"{name} is not {RUN} of a document")
        by_queue: dict[str, list[_Case]] = defaultdict(list)
        for case in self._cases.values():
            if case.flaw is None and is_same(_found(case.word).invocation.sub, asked.executor):
                by_queue[_found(case.handed).receipt.iss].append(case)
        found: dict[Link, list[str]] = {}
        for queue, cases in by_queue.items():
            job = self._compiled(asked, document, queue)
            for link, nodes in job.labels(case.known(mine) for case in cases).items():
                own = self._cases[link].is_of(mine)
                if labels := [node.label for node in nodes if own or node.pure]:
                    found[link] = labels
        return found

    def _finding(self, case: _Case, *, is_input: bool, labels: Mapping[Link, list[str]]) -> Finding:
        ran = case.receipt.args.get("ran")
        own = tuple(match.node.label for match in case.matches or ())
        job = None if case.job is None else case.job[0].invocation
        return Finding(
            receipt=case.receipt.link,
            ran=ran if isinstance(ran, Link) else None,
            out=case.result,
            labels=own if self._mine is None else tuple(labels.get(case.receipt.link, ())),
            worker=case.receipt.iss,
            service="" if case.word is None else case.word.invocation.sub,
            queue="" if case.handed is None else case.handed.receipt.iss,
            requestor="" if job is None else job.iss,
            job=None if job is None else job.link,
            is_input=is_input,
            steps=tuple(case.steps),
            addresses=case.known().addresses,
            word=None if case.word is None else case.word.invocation.link,
            is_secret=is_secret(case.receipt.meta),
        )


def _runs_job(case: _Case) -> bool:
    return case.word is not None and case.word.invocation.args.get("cmd") == RUN_JOB


def _is_task(token: Invocation) -> bool:
    """Whether a token is a receipt of a task, and no hand-out: that names a job, its push and its pop."""
    if str(token.cmd) != COMMAND:
        return False
    match token.args.get("out"):
        case {"ok": {"inv": Link(), "push": Link(), "pop": Link(), **rest}}:
            return bool(rest) or "lease" not in token.meta
    return True


def _found(what: Found | None) -> Found:
    """Return what an earlier step has found; without it a step cannot be looked at."""
    if what is None:
        raise Flaw(Verdict.OPEN, "hangs on a step that failed")
    return what


def _list(value: Any) -> list[Link]:
    return [item for item in value if isinstance(item, Link)] if isinstance(value, list) else []
