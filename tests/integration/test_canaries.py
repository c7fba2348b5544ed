"""Canaries: secrets planted on every path, looked for everywhere that they must not be."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from threading import Event, Thread

import pytest
from modules import cover, secrets
from redis import Redis
from stack import ROOT, Stack

from ipvm_queue.embedded import flower

pytestmark = pytest.mark.integration
BIN = Path(sys.executable).parent


class Canaries:
    """Texts that stand nowhere else, by where they were planted."""

    def __init__(self) -> None:
        self.planted: dict[str, str] = {}

    def new(self, where: str) -> str:
        """Plant one more."""
        self.planted[where] = text = f"{token_hex(12)}canary{token_hex(12)}"
        return text

    def found_in(self, data: bytes) -> list[str]:
        """Return which of them stand in some bytes: as they are, in hex, or in base64 at any offset."""
        return [where for where, text in self.planted.items() if any(form in data for form in _forms(text))]


def _forms(text: str) -> list[bytes]:
    plain = text.encode()
    encoded = [base64.b64encode(bytes(shift) + plain)[4:-4] for shift in range(3)]
    urlsafe = [each.translate(bytes.maketrans(b"+/", b"-_")) for each in encoded]
    return [plain, plain[::-1], plain.hex().encode(), *encoded, *urlsafe]


class Listener:
    """Hears every command that the server is sent, events and lookups too."""

    def __init__(self, url: str) -> None:
        self.heard: list[bytes] = []
        self._redis = Redis.from_url(url)
        self._end = Event()
        self._thread = Thread(target=self._listen, daemon=True)
        self._ready = Event()
        self._thread.start()
        assert self._ready.wait(10)

    def _listen(self) -> None:
        with self._redis.monitor() as monitor:
            self._ready.set()
            with suppress(Exception):  # the server goes away
                for command in monitor.listen():
                    self.heard.append(repr(command).encode())
                    if self._end.is_set():
                        return

    def stop(self) -> bytes:
        """Return what was heard."""
        self._end.set()
        self._thread.join(5)
        return b"\n".join(self.heard)


@pytest.fixture(scope="module")
def hanging_up():
    """Return the address of a server that takes a request and hangs up, so that nobody knows what became of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)

        Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def stack(tmp_path_factory, hanging_up, _own_home):
    """Return a queue with a log of appends, workers of both kinds, and what an operator has put there for them."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "shop").mkdir()
    config = outside / "effects.toml"
    config.write_text(f'[secrets]\nfiles = "{outside}"\n[http]\nallow_private = ["{hanging_up}"]\n')
    stack = Stack(tmp_path_factory.mktemp("canaries"), aof=True, effects_config=config, events=True, log_form="json")
    stack.outside = outside
    try:
        stack.start_valkey()
        stack.start_worker("w", "-P", "prefork", "-c", "2")
        stack.start_worker("e", "-P", "prefork", "-c", "2", program="workers.effects")
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def told(stack, hanging_up):
    """Run a job with a canary on every path; return the canaries, the runs, and what the server was told meanwhile."""
    canaries, listener = Canaries(), Listener(stack.url)
    with stack.client() as client:
        module = client.blocks.put(secrets())

        def job(func, *args, **more):
            return {"type": "wasm/1.0", "with": module, "func": func, "input": list(args), **more}

        def planted(where, size=1):
            return cover(canaries.new(where) * size)

        token = canaries.new("secret/get")
        (stack.outside / "shop" / "KEY").write_text(token)
        get = {"type": "ipvm/effect", "with": "ipvm:secret:shop?secret=KEY", "do": "secret/get"}
        post = {"type": "ipvm/effect", "with": f"http://{hanging_up}/", "do": "crud/create"}
        jobs = {
            "config": job("uncover", planted("config"), **{"ipvm/config": {"secret": True}}),
            "private": job("uncover", planted("public: false"), public=False),
            "large": job("uncover", planted("a large result", 4000), public=False),
            "words": job("shout", planted("last words"), public=False),
            "func": {**job("f", 1), "func": {"from": "name"}},
            "name": job("uncover", planted("the name of a function"), public=False),
            "token": get,
            "absent": {**get, "with": "ipvm:secret:shop?secret=NONE"},
            "taken": job("first", {"from": "token"}),
            "uri": {"type": "ipvm/effect", "with": {"from": "private"}, "do": "crud/read"},
            "error": job("first", {"await/error": {"from": "words"}}),
            "either": job("first", {"await/*": {"from": "private"}}),
            "both": job("echo", {"from": "config"}, {"from": "large"}),
            "open": job("uncover", cover("in the open")),
        }
        ends = client.submit({"header": {"catch": job("first") | {"input": []}}, "jobs": jobs}).wait(60)
        doubt = client.submit({"post": {**post, "value": {"from": "token"}, "public": False}, "token": get}).wait(60)
        made = job("uncover", planted("what an effect sends"), public=False)
        again = client.submit({"post": {**post, "value": {"from": "made"}, "public": True}, "made": made}).wait(60)
        values = {label: result.reveal().out for label, result in ends.results().items()}
    return canaries, [ends, doubt, again], values, listener.stop()


def test_the_tasks_had_the_secrets(told):
    """Otherwise there would be nothing to find: values arrived, and the owner can open them."""
    canaries, (ends, doubt, again), values, heard = told
    shown = json.dumps(values, default=lambda value: value.decode() if isinstance(value, bytes) else str(value))

    expected = {"config", "public: false", "a large result", "last words", "the name of a function", "secret/get"}
    assert expected <= set(canaries.found_in(shown.encode()))
    assert values["token"] == values["taken"]
    assert (ends.status, doubt["post"].state, again["post"].state) == ("error", "in-doubt", "in-doubt")
    assert b"in the open" in heard


def test_the_broker_is_told_no_secret(told):
    """No command to the server, no event and no message holds a canary."""
    canaries, _, _, heard = told

    assert canaries.found_in(heard) == []


def test_no_key_holds_a_secret(told, stack):
    """Nothing that is kept in Redis holds a canary, neither now nor in its log of appends."""
    canaries, runs, _, _ = told
    kept = b"\n".join(_everything(stack.redis))
    appended = b"\n".join(path.read_bytes() for path in (stack.directory / "valkey").rglob("*") if path.is_file())

    assert runs[0].id.encode() in kept
    assert b"in the open" in kept
    assert b"in the open" in appended
    assert canaries.found_in(kept) == []
    assert canaries.found_in(appended) == []


def _everything(redis):
    readers = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"set": redis.smembers,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        b"stream": redis.xrange,
    }
    for key in redis.scan_iter():
        yield key
        yield from _flat(readers[redis.type(key)](key))


def _flat(value):
    if isinstance(value, dict):
        value = [each for pair in value.items() for each in pair]
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, list | tuple | set):
        for each in value:
            yield from _flat(each)


def test_no_file_holds_a_secret(told, stack):
    """Neither logs nor caches of workers and gate hold a canary."""
    canaries, _, _, _ = told
    files = [path for path in stack.directory.rglob("*") if path.is_file()]

    assert {"w.log", "e.log", "gate.log"} <= {path.name for path in files}
    assert [str(path) for path in files if canaries.found_in(path.read_bytes())] == []


@pytest.mark.parametrize(
    "command",
    [
        ["run", "show", "{0}"],
        ["run", "show", "{0}", "--json"],
        ["run", "show", "{1}", "--json"],
        ["run", "show", "{2}"],
        ["run", "watch", "{0}", "--json"],
        ["receipt", "get", "{receipt}"],
        ["receipt", "get", "{receipt}", "--json"],
        ["receipt", "verify", "{receipt}", "--json"],
        ["receipt", "verify", "{receipt}", "--rerun", "{0}"],
        ["receipt", "export", "{receipt}", "--run", "{0}", "--json"],
        ["effect", "list", "--json"],
        ["graph", "{0}"],
    ],
    ids=" ".join,
)
def test_commands_show_no_secret(told, stack, command):
    """Even to the owner, on whose terminal others may look."""
    canaries, runs, _, _ = told
    names = {"receipt": runs[0]["private"].receipt}

    done = _ipvm(stack, *(word.format(*(run.id for run in runs), **names) for word in command))

    assert done.stdout or done.stderr
    assert b"Traceback" not in done.stderr
    assert canaries.found_in(done.stdout + done.stderr) == []


def test_the_owner_asks_for_secrets(told, stack):
    """With `--reveal` they are shown, as text and as JSON."""
    canaries, runs, _, _ = told
    for options in ([], ["--json"]):
        shown = _ipvm(stack, "run", "show", runs[0].id, "--reveal", *options)

        assert {"public: false", "last words"} <= set(canaries.found_in(shown.stdout))
    receipt = _ipvm(stack, "receipt", "get", str(runs[0]["private"].receipt), "--reveal", "--json")
    answer = json.loads(receipt.stdout)
    assert answer["out"]["ok"] == canaries.planted["public: false"]
    assert "gas" in answer["meta"]


def test_others_who_ask_are_refused(told, stack, tmp_path):
    """With another key `--reveal` is an error that says whose it takes; without it there is what all may see."""
    canaries, runs, _, _ = told
    subprocess.run([BIN / "ipvm", "key", "new", tmp_path / "other.pem"], check=True, capture_output=True)

    for command in (["run", "show", runs[0].id], ["receipt", "get", str(runs[0]["private"].receipt)]):
        refused = _ipvm(stack, *command, "--key", str(tmp_path / "other.pem"), "--reveal", "--json")

        assert refused.returncode == 2
        assert b"owner" in refused.stdout + refused.stderr
        assert canaries.found_in(refused.stdout + refused.stderr) == []


def _ipvm(stack, *words):
    return subprocess.run(
        [BIN / "ipvm", *words], env=stack.environment(), cwd=stack.directory, capture_output=True, check=False
    )


def test_flower_shows_no_secret(told, stack, monkeypatch):
    """Neither its API nor its pages, which are told by events."""
    canaries, _, _, _ = told
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")
    port = flower.choose_port()
    group = flower.start(stack.url, stack.settings.queue, ROOT, stack.directory, port)
    stack.groups["flower"] = group
    with stack.client() as client:
        module = client.blocks.put(secrets())
        made = {"type": "wasm/1.0", "with": module, "func": "uncover", "public": False}
        stack.wait_for(lambda: _page(port, "/api/workers?refresh=1"))

        def shown():
            run = client.submit({"made": {**made, "input": [cover(canaries.new("under Flower"))]}}).wait(60)
            found = _page(port, f"/api/task/info/{run.id}:0")
            return b"made" in found and (run.id, found)

        run, task = stack.wait_for(shown)
    paths = ("/api/tasks", "/api/workers", "/tasks", "/workers", "/broker", "/metrics", f"/task/{run}:0")
    pages = [task, *(_page(port, path) for path in paths)]

    assert all(pages)
    assert canaries.found_in(b"\n".join(pages)) == []


def _page(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as page:
            return page.read()
    except (OSError, urllib.error.HTTPError):
        return b""


def test_workers_leave_no_core_files(stack):
    """Whatever a process dies of, what it had in memory is not written down."""
    for name in ("w", "e"):
        for pid in (stack.groups[name].process.pid, *stack.children(name)):
            limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
            (line,) = [line for line in limits if line.startswith("Max core file size")]
            assert line.split()[4] in ("0", "1"), line


def test_the_search_finds_what_is_there():
    """The forms that a canary is looked for in are those that it would stand in."""
    canaries = Canaries()
    text = canaries.new("here")
    for shift in range(4):
        for data in (base64.b64encode(os.urandom(shift) + text.encode()), text.encode().hex().encode()):
            assert canaries.found_in(b"x" + data + b"y") == ["here"]
