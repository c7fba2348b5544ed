"""On whose authority a worker runs: every member of a run's papers, missing, altered, lapsed or somebody else's."""

from __future__ import annotations

import pytest
from diagram import DOCUMENT, LEASE, MALLORY, NOW, PLAN, QUEUE, SERVICE, USER, WORKER, Diagram, delegate, invoke

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.queue.grants import Grants
from ipvm_queue.store import Grant
from ipvm_queue.ucan import UcanError
from ipvm_queue.worker.authority import Authorities, NotHandedError

OTHER = Link.of(b"another", DAG_CBOR)
TASK = Link.of(b"a task", DAG_CBOR)


class Desk:
    """A gate that is there: what it has answered is at hand, and it counts how often it is asked."""

    def __init__(self, diagram: Diagram, answers=()) -> None:
        self.diagram = diagram
        self.here = diagram.standing
        self.answers = list(answers)
        self.taken_back = frozenset()
        self.asked = 0

    def standing(self):
        """Return the worker's place."""
        return self.here

    def hand_out(self, run):
        """Return the next answer."""
        assert run == self.diagram.run
        self.asked += 1
        return self.answers.pop(0) if self.answers else None

    def revoked(self):
        """Return what has been revoked."""
        return self.taken_back


class Worker:
    """A worker process with a clock that a test sets."""

    def __init__(self, diagram: Diagram, answers=()) -> None:
        self.diagram = diagram
        self.desk = Desk(diagram, answers)
        self.now = NOW
        self._authorities = Authorities(self.desk, self._grants, clock=lambda: self.now)

    @staticmethod
    def _grants(asked, validator):
        return Grants(asked.tokens, asked.service, asked.job.iss, validator)

    def mandate(self, papers=..., *, plan=PLAN, run=None):
        """Return the mandate for the diagram's run, as after a lease of nodes."""
        run = run or self.diagram.run
        pop = self._authorities.pop(run)
        given = None if pop is None else self.diagram.papers if papers is ... else papers
        grant = Grant("running", careful=False, nodes=[(0, 0)], revoked=b"%d" % len(self.desk.taken_back), papers=given)
        return self._authorities.mandate(run, plan, DOCUMENT, grant)


def broken(diagram, **changes):
    """Return the rule that a run's papers break."""
    with pytest.raises(UcanError) as found:
        Worker(diagram).mandate(diagram.papers._replace(**changes))
    return found.value.name


def test_a_whole_set_of_papers_is_a_mandate():
    """Receipts name the hand-out and are signed for the service, under the chain from it to the worker."""
    diagram = Diagram()
    papers = diagram.papers

    mandate = Worker(diagram).mandate(papers)

    assert mandate.cause == Link.of(papers.handout, DAG_CBOR)
    assert mandate.service == SERVICE.did
    assert [proof.link for proof in mandate.proxies] == [diagram.two.link, diagram.four.link]
    assert mandate.refusal("/wasm/run", {"fun": "f"}, TASK) is None


def test_a_run_that_passed_no_gate_is_refused():
    """A run without papers, whoever wrote it into the store, is nobody's."""
    with pytest.raises(UcanError, match="gate"):
        Worker(Diagram()).mandate(None)


JOB = {"job": DOCUMENT}


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("Expired", {"eight": invoke(USER, SERVICE, "/ipvm/run", JOB, Diagram().seven, expiration=NOW - 61)}),
        ("UnavailableProof", {"eight": invoke(USER, SERVICE, "/ipvm/run", JOB, Diagram().seven)}),
        ("InvalidClaim", {"eight": invoke(USER, SERVICE, "/ipvm/run", JOB)}),
        ("InvalidAudience", {"eight": invoke(SERVICE, SERVICE, "/ipvm/run", JOB, audience=MALLORY.did)}),
        ("MalformedArguments", {"eight": invoke(SERVICE, SERVICE, "/ipvm/run", {"job": OTHER})}),
        ("MalformedArguments", {"eight": invoke(SERVICE, SERVICE, "/ipvm/run", {"job": DOCUMENT.bytes})}),
        ("MalformedArguments", {"eight": invoke(SERVICE, SERVICE, "/ipvm/runs", JOB)}),
        ("InvalidClaim", {"nine": invoke(MALLORY, QUEUE, "/queue/push", {"inv": OTHER})}),
        ("MalformedArguments", {"nine": invoke(QUEUE, QUEUE, "/queue/push", {"inv": OTHER})}),
        ("InvalidAudience", {"nine": invoke(MALLORY, MALLORY, "/queue/push", {"inv": OTHER})}),
        ("InvalidAudience", {"seven": delegate(SERVICE, MALLORY, SERVICE, "/")}),
        ("ImpossibleAttenuation", {"seven": delegate(SERVICE, USER, SERVICE, "/wasm")}),
        ("MatchError", {"seven": delegate(SERVICE, USER, SERVICE, "/", policy=[["==", ".job", 1]])}),
        ("Expired", {"seven": delegate(SERVICE, USER, SERVICE, "/", expiration=NOW - 61)}),
        ("TooEarly", {"seven": delegate(SERVICE, USER, SERVICE, "/", not_before=NOW + 61)}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_job_that_does_not_hold_is_refused_by_its_rule(rule, changes):
    """Each token of the job and its push is looked at by the worker again, whatever the gate has let in."""
    assert broken(Diagram(**changes)) == rule


def test_tokens_that_were_not_sent_along_are_missed():
    """A container without the invocation, without the push, or that is none, is refused."""
    diagram = Diagram()

    assert broken(diagram, invocation=OTHER) == "UnavailableProof"
    assert broken(diagram, push=OTHER) == "UnavailableProof"
    assert broken(diagram, tokens=b"") == "Malformed"
    assert broken(diagram, tokens=b"@nothing") == "Malformed"


def test_a_push_may_be_over_by_now():
    """A push was for its moment, and the hand-out says that the queue took it then."""
    worker = Worker(Diagram())
    worker.now = NOW + 1800

    assert worker.mandate(worker.diagram.papers._replace(handout=worker.diagram.eleven(lease=NOW + 2000))) is not None


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        ("InvalidClaim", lambda diagram: diagram.eleven(WORKER)),
        ("InvalidClaim", lambda diagram: diagram.eleven(MALLORY)),
        ("MalformedArguments", lambda diagram: diagram.eleven(pop=diagram.pop())),
        ("MalformedArguments", lambda diagram: diagram.eleven(inv=OTHER)),
        ("MalformedArguments", lambda diagram: diagram.eleven(push=OTHER)),
        ("MalformedArguments", lambda diagram: diagram.eleven(pop=diagram.ten, more=OTHER)),
        ("Malformed", lambda diagram: diagram.eleven(lease=None)),
        ("Malformed", lambda diagram: diagram.eleven(plan=None)),
        ("InvalidClaim", lambda diagram: diagram.eleven(plan=OTHER)),
        ("InvalidSignature", lambda diagram: diagram.eleven()[:-1] + b"x"),
        ("InvalidSignature", lambda _: b"nothing"),
    ],
)
def test_a_hand_out_is_the_queue_s_of_this_run_to_this_pop(rule, make):
    """A hand-out by anybody else, of another run or plan, to another pop, altered or without an end is refused."""
    diagram = Diagram()

    assert broken(diagram, handout=make(diagram)) == rule


def test_a_run_goes_by_the_plan_that_the_queue_has_made():
    """Whatever the store says: another plan is refused at the first lease, and at any later one."""
    worker = Worker(Diagram())

    for _ in range(2):
        with pytest.raises(UcanError, match="plan"):
            worker.mandate(plan=OTHER)
        assert worker.mandate().plan == PLAN


def test_a_run_is_the_one_that_was_asked_for():
    """The papers of one run do not go for another, under which everything would be done again."""
    with pytest.raises(UcanError, match="not ffff"):
        Worker(Diagram()).mandate(run="f" * 16)


@pytest.mark.parametrize(
    "changes",
    [
        {"two": delegate(SERVICE, QUEUE, SERVICE, "/ucan/proxy/sign", expiration=NOW - 61)},
        {"two": delegate(MALLORY, QUEUE, SERVICE, "/ucan/proxy/sign")},
        {"two": delegate(SERVICE, QUEUE, SERVICE, "/ucan/proxy/signed")},
        {"four": delegate(QUEUE, MALLORY, SERVICE, "/ucan/proxy/sign")},
        {"four": delegate(QUEUE, WORKER, QUEUE, "/ucan/proxy/sign")},
    ],
)
def test_a_worker_that_may_not_answer_for_the_service_leaves_the_run(changes):
    """Without a chain from the service to this worker, another worker may have one: the run is not at fault."""
    with pytest.raises(NotHandedError, match="may not answer"):
        Worker(Diagram(**changes)).mandate()


def test_a_worker_without_a_pop_leaves_the_run():
    """A worker whose lease on the queue is over takes nothing on."""
    worker = Worker(Diagram())
    worker.desk.here = None

    with pytest.raises(NotHandedError, match="no lease"):
        worker.mandate()


def test_a_run_that_was_not_handed_over_is_asked_for():
    """Where the store has no hand-out to this pop the gate is asked once; without an answer the run is left."""
    diagram = Diagram()
    bare = diagram.papers._replace(handout=b"")
    worker = Worker(diagram, [diagram.eleven()])

    assert worker.mandate(bare).cause == Link.of(diagram.eleven(), DAG_CBOR)
    assert worker.desk.asked == 1
    with pytest.raises(NotHandedError, match="handed"):
        Worker(diagram).mandate(bare)


def test_a_job_lapses_between_two_leases():
    """What was good a moment ago is looked at again: time goes on."""
    worker = Worker(Diagram())
    worker.diagram = Diagram(eight=invoke(USER, SERVICE, "/ipvm/run", JOB, worker.diagram.seven, expiration=NOW + 30),
                             seven=worker.diagram.seven)  # fmt: skip
    worker.mandate(worker.diagram.papers._replace(handout=worker.diagram.eleven(pop=worker.desk.here.pop)))

    worker.now = NOW + 90
    assert worker.mandate() is not None
    worker.now = NOW + 91
    with pytest.raises(UcanError) as found:
        worker.mandate()

    assert found.value.name == "Expired"


@pytest.mark.parametrize("name", ["seven", "one", "again", "eight", "nine"])
def test_a_revocation_ends_a_run_between_two_leases(name):
    """Once a token of the job has been revoked, the next lease finds out."""
    worker = Worker(Diagram())
    worker.mandate()

    worker.desk.taken_back = frozenset({getattr(worker.diagram, name).link})
    with pytest.raises(UcanError) as found:
        worker.mandate()

    assert found.value.name == "Revoked"


@pytest.mark.parametrize("name", ["two", "four"])
def test_a_worker_whose_own_right_is_revoked_leaves_the_run(name):
    """A worker that may not sign any more is not the run's fault."""
    worker = Worker(Diagram())
    worker.mandate()

    worker.desk.taken_back = frozenset({getattr(worker.diagram, name).link})
    with pytest.raises(NotHandedError, match="revoked"):
        worker.mandate()


def test_a_worker_that_may_pop_no_more_asks_whether_the_run_is_still_its_own():
    """Once the right to pop is revoked the hand-out under it is worth nothing; the gate gives no other."""
    worker = Worker(Diagram())
    worker.mandate()

    worker.desk.taken_back = frozenset({worker.diagram.three.link})
    with pytest.raises(NotHandedError, match="handed"):
        worker.mandate()

    assert worker.desk.asked == 1


def test_a_new_pop_needs_a_new_hand_out():
    """When the lease that a run was handed under is over, the gate hands it to the worker's present pop."""
    worker = Worker(Diagram())
    first = worker.mandate()
    later = worker.diagram.pop()
    worker.desk.here = worker.desk.here._replace(pop=later)
    worker.desk.answers = [worker.diagram.eleven(pop=later, lease=NOW + 2 * LEASE)]

    worker.now = NOW + LEASE
    assert worker.mandate() is first
    worker.now = NOW + LEASE + 1
    second = worker.mandate()

    assert (worker.desk.asked, second.cause != first.cause) == (1, True)


def test_policies_are_judged_on_resolved_args():
    """A task is refused by the rule that its args break, and the refusal says whose fault it is."""
    run = delegate(SERVICE, USER, SERVICE, "/ipvm/run")
    work = delegate(SERVICE, USER, SERVICE, "/wasm/run", policy=[["!=", ".params[0]", "/etc"]])
    worker = Worker(Diagram(seven=run, also=[work]))
    mandate = worker.mandate()

    refusal = mandate.refusal("/wasm/run", {"params": ["/etc"]}, TASK)

    assert mandate.refusal("/wasm/run", {"params": ["/tmp"]}, TASK) is None
    message = refusal.pop("message")
    assert refusal == {"code": "refused", "rule": "MatchError", "token": str(work.link), "fault": "requestor"}
    assert "pol[0]" in message
    assert mandate.refusal("/crud/read", {}, TASK)["rule"] == "InvalidClaim"


def test_a_task_s_own_delegation_lapses_alone():
    """The delegation that a task needs is judged by time and revocation at every lease, the job goes on without it."""
    run = delegate(SERVICE, USER, SERVICE, "/ipvm/run")
    work = delegate(SERVICE, USER, SERVICE, "/wasm/run", expiration=NOW + 10)
    worker = Worker(Diagram(seven=run, also=[work]))
    assert worker.mandate().refusal("/wasm/run", {}, TASK) is None

    worker.now = NOW + 71
    assert worker.mandate().refusal("/wasm/run", {}, TASK)["rule"] == "Expired"
    worker.now = NOW
    worker.desk.taken_back = frozenset({work.link})
    assert worker.mandate().refusal("/wasm/run", {}, TASK)["rule"] == "Revoked"


def test_a_worker_may_be_let_sign_for_some_commands_alone():
    """Policies on the right to sign bind too: a task whose receipt could not be signed does not run."""
    only_wasm = delegate(SERVICE, QUEUE, SERVICE, "/ucan/proxy/sign", policy=[["like", ".cmd", "/wasm/*"]])
    mandate = Worker(Diagram(two=only_wasm)).mandate()

    assert mandate.refusal("/wasm/run", {}, TASK) is None
    refusal = mandate.refusal("/crud/read", {}, TASK)
    assert (refusal["rule"], refusal["fault"]) == ("MatchError", "runner")
