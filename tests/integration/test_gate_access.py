"""What the broker itself allows: raw Redis with the credentials of each role, and of a worker that the gate let in."""

from __future__ import annotations

import json
from time import monotonic, time
from typing import TYPE_CHECKING

import pytest
from deployment import Deployment
from redis import Redis
from redis.exceptions import AuthenticationError, ConnectionError, NoPermissionError  # noqa: A004

from ipvm_queue.crypto import Signer, load_signer, open_sealed
from ipvm_queue.errors import SealError
from ipvm_queue.ipld import Link
from ipvm_queue.queue import Proofs, Stall
from ipvm_queue.queue.counter import Counter
from ipvm_queue.queue.requests import pop
from ipvm_queue.store import Inbox, Keys, Registry, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
P = "{ipvm:default}:"
CID = Link.of(b"x").key


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Return a broker and a gate; its log of refusals may fill."""
    running = Deployment(tmp_path_factory.mktemp("access"))
    try:
        running.start_broker()
        running.start_gate()
        yield running
    finally:
        running.stop_all()


class Popped:
    """A worker that pops by hand: the queue's answer, and a connection as the user that it was given."""

    def __init__(self, deployment: Deployment, signer: Signer) -> None:
        proofs = deployment.directory / signer.did[-8:]
        self.grants = deployment.admit(signer, proofs)
        chain = Proofs.load([proofs / "worker.ucan"])
        queue = load_signer(deployment.files()["queue_key"]).did
        with connect(deployment.url("door")) as redis:
            keys = Keys("default")
            counter = Counter(signer, chain, Inbox(redis, keys, max_bytes=1000), Registry(redis, keys))
            counter.trust(queue)
            stall = Stall("by-hand@tests", ["ipvm.wasm"], 1)
            self.answer = counter.ask(pop(signer, queue, chain, stall, now=int(time())))
        self.user = str(self.answer["user"])
        password = open_sealed(signer, self.answer["secret"]).decode()
        self.redis = Redis(port=deployment.port, username=self.user, password=password, socket_timeout=10)


@pytest.fixture(scope="module")
def worker(deployment: Deployment) -> Iterator[Popped]:
    """Return a worker with a lease."""
    popped = Popped(deployment, Signer.generate())
    yield popped
    popped.redis.close()


SERVER = [
    ["FLUSHALL"],
    ["FLUSHDB"],
    ["CONFIG", "SET", "appendonly", "no"],
    ["KEYS", "*"],
    ["SCAN", "0"],
    ["RANDOMKEY"],
    ["MONITOR"],
    ["SHUTDOWN"],
    ["LATENCY", "RESET"],
    ["ACL", "LIST"],
    ["ACL", "SETUSER", "me", "on", "nopass", "+@all", "~*"],
    ["ACL", "DELUSER", "gate"],
    ["CLIENT", "KILL", "TYPE", "normal"],
    ["REPLICAOF", "example.org", "6379"],
    ["MODULE", "LIST"],
    ["FUNCTION", "LIST"],
    ["MIGRATE", "example.org", "6379", f"{P}did", "0", "1"],
]
# What the gate alone decides by.
GATE = [
    ["SET", f"{P}did", "did:key:mine"],
    ["HSET", f"{P}revoked", CID, ""],
    ["HDEL", f"{P}revoked", CID],
    ["DEL", f"{P}revoked"],
    ["HGETALL", f"{P}leases"],
    ["HSET", f"{P}leases", CID, "mine"],
    ["SET", f"{P}replay:00", "mine"],
    ["DEL", f"{P}replay:00"],
    ["LRANGE", f"{P}inbox", "0", "-1"],
    ["RPOP", f"{P}inbox"],
    ["BLMOVE", f"{P}inbox", f"{P}taken:me", "LEFT", "RIGHT", "1"],
    ["DEL", f"{P}inbox"],
    ["EXPIRE", f"{P}inbox", "0"],
    ["HGETALL", f"{P}inbox:{'0' * 32}"],
    ["DEL", f"{P}inbox:{'0' * 32}"],
    ["LRANGE", f"{P}taken:gate@vm", "0", "-1"],
    ["SET", f"{P}gate:gate@vm", "1"],
    ["RPUSH", f"{P}reply:{'0' * 32}", "forged"],
    ["GET", "{ipvm:other}:did"],
    ["SET", "{ipvm:other}:block:x", "1"],
    ["GET", "anything"],
]
RUNS = [
    ["LPUSH", f"{P}ipvm.wasm", "a message"],
    ["BRPOP", f"{P}ipvm.wasm", "1"],
    ["LRANGE", f"{P}ipvm.wasm", "0", "-1"],
    ["SET", f"{P}receipt:{CID}", "forged"],
    ["SET", f"{P}proxy:{CID}", "forged"],
    ["SET", f"{P}block:{CID}", "forged"],
    ["HSET", f"{P}run:0", "state", "done"],
    ["DEL", f"{P}run:0"],
    ["HSET", f"{P}run:0:settled", "0", "forged"],
    ["ZADD", f"{P}runs", "1", "mine"],
    ["SADD", f"{P}live", "mine"],
    ["HSET", f"{P}workers", "mine", "1"],
    ["SET", f"{P}slots:{P}ipvm.wasm", "0"],
    ["PUBLISH", f"{P}/0.celery.pidbox", "shutdown"],
    ["SUBSCRIBE", f"{P}/0.celeryev/task"],
    ["EVAL", "return 1", "0"],
    ["SCRIPT", "FLUSH"],
]
READS = [["GET", f"{P}block:{CID}"], ["HGETALL", f"{P}run:0"], ["GET", f"{P}receipt:{CID}"]]


def refused(redis: Redis, command: list[str]) -> bool:
    """Return whether the broker refuses a command for want of permission."""
    try:
        redis.execute_command(*command)
    except NoPermissionError:
        return True
    return False


def words(value: object) -> str:
    """Name a test after its command."""
    return value if isinstance(value, str) else " ".join(value[:2])  # type: ignore[index]


@pytest.mark.parametrize("command", [*SERVER, *GATE, *RUNS], ids=words)
def test_a_submitter_writes_requests_alone(deployment: Deployment, command: list[str]):
    """A submitter writes no queue, no run and no receipt, and does nothing to the server or to others' requests."""
    with deployment.redis("submitter") as redis:
        assert refused(redis, command)


@pytest.mark.parametrize("command", [*SERVER, *GATE, *RUNS, *READS], ids=words)
def test_the_door_is_for_knocking(deployment: Deployment, command: list[str]):
    """What a worker has before its pop lets it ask, and nothing else."""
    with deployment.redis("door") as redis:
        assert refused(redis, command)


@pytest.mark.parametrize("command", [*SERVER, *GATE], ids=words)
def test_a_worker_has_the_runs_and_no_more(worker: Popped, command: list[str]):
    """A worker that was let in cannot undo a revocation, forge a lease, read a request, or touch the server."""
    assert refused(worker.redis, command)


@pytest.mark.parametrize("command", [each for each in SERVER if each[0] != "SCAN"], ids=words)
def test_an_operator_has_the_queue_and_not_the_server(deployment: Deployment, command: list[str]):
    """An operator looks after keys of one queue; users, configuration and other queues are out of reach."""
    with deployment.redis("operator") as redis:
        assert refused(redis, command)
        assert refused(redis, ["GET", "{ipvm:other}:did"])


def test_a_submitter_may_ask_and_read(deployment: Deployment):
    """Leaving a request, waiting for its answer, and reading runs, receipts and blocks is what the role is for."""
    with deployment.redis("submitter") as redis:
        redis.hset(f"{P}inbox:{'1' * 32}", mapping={"c": b"nothing"})
        redis.expire(f"{P}inbox:{'1' * 32}", 60)
        redis.lpush(f"{P}inbox", "1" * 32)
        assert redis.blpop([f"{P}reply:{'1' * 32}"], timeout=10) is not None
        for command in READS:
            assert not refused(redis, command)


def test_a_submitter_lists_runs_of_which_some_have_lapsed(deployment: Deployment):
    """Who may only read is told of the runs that are there; one that has lapsed since is passed over."""
    with deployment.redis("gate") as redis:
        redis.zadd(f"{P}runs", {"lapsed": time() * 1000})

    listed = deployment.ipvm("submitter", "run", "list", "--json")

    assert (listed.returncode, listed.stderr) == (0, "")
    assert json.loads(listed.stdout) == {"runs": []}


def test_a_worker_s_password_is_for_its_eyes(deployment: Deployment, worker: Popped):
    """The answer to a pop goes over the broker, where others may see it: the password in it is sealed to the worker."""
    secret = worker.answer["secret"]
    assert isinstance(secret, bytes)
    with pytest.raises(SealError):
        open_sealed(Signer.generate(), secret)
    with deployment.redis("gate") as redis:
        assert f"user {worker.user} " in " ".join(redis.acl_list())


def test_a_worker_has_one_user_at_a_time(deployment: Deployment):
    """A second pop by the same worker at the same place gives a new user; the first one's connections end."""
    signer = Signer.generate()
    first = Popped(deployment, signer)
    assert first.redis.ping()
    second = Popped(deployment, signer)

    assert second.user != first.user
    assert second.redis.ping()
    with pytest.raises((ConnectionError, AuthenticationError)):
        first.redis.ping()


def test_the_gate_s_word_is_the_queue_s(deployment: Deployment, worker: Popped):
    """The users that the gate made are the queue's workers', and a queue beside it on the same server has its own."""
    assert worker.user.startswith("w-default-")
    with deployment.redis("gate") as redis:
        redis.execute_command("ACL", "SETUSER", "w-other-0123456789abcdef", "on", ">secret")
        started = monotonic()
        while monotonic() - started < 3:  # the gate looks around every second
            assert "w-other-0123456789abcdef" in redis.acl_users()
        redis.execute_command("ACL", "DELUSER", "w-other-0123456789abcdef")
