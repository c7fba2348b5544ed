"""Keys and secrets through the queue: every answer is for its owner, and stands in plain nowhere else."""

from __future__ import annotations

import base64
import json
import subprocess
from itertools import product
from secrets import token_hex

import pytest
from commands import BIN, ROOT
from stack import Stack
from wasm_guests import BYTES_ABI, wat

from ipvm_queue.crypto import Signer, open_sealed, save_signer, seal, verify
from ipvm_queue.errors import WrongKeyError
from ipvm_queue.ipld import to_json
from ipvm_queue.store import Keys, RedisBlocks, connect
from ipvm_queue.ucan import read

pytestmark = pytest.mark.integration

KEY = Signer.generate()
# What a guest makes of a canary: the same, its last words and a trap, an error that holds it.
GUEST = wat(f"""(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  {BYTES_ABI}
  (func (export "first") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (i32.add (local.get 0) (i32.const 1))) (i64.const 32))
            (i64.extend_i32_u (i32.sub (local.get 1) (i32.const 1)))))
  (func (export "shout") (param i32 i32) (result i64)
    (i32.store (i32.const 0) (local.get 0))
    (i32.store (i32.const 4) (local.get 1))
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
    unreachable))""")


class Canaries:
    """Texts that stand nowhere else, by name; `file` is where a worker finds those that it may have."""

    def __init__(self, directory) -> None:
        self.directory = directory
        self.texts: dict[str, str] = {}

    def new(self, name: str, *, size: int = 1) -> str:
        """Return a new text, and put it where `secret/get` finds it."""
        text = f"canary-{name}-{token_hex(16)}" * size
        self.texts[name] = text
        (self.directory / "shop").mkdir(exist_ok=True)
        (self.directory / "shop" / name).write_text(text)
        return text

    def found_in(self, data: bytes) -> list[str]:
        """Return the names of those that stand in some bytes: plain, in base16, or in base64 at any place."""
        return [name for name, text in self.texts.items() if any(form in data for form in forms(text))]


def forms(text: str) -> set[bytes]:
    """Return what a text looks like in plain, in base16 and base64, in whatever it is embedded."""
    data = text.encode()
    found = {data, data.hex().encode(), data.hex().upper().encode(), data[::-1]}
    for shift, alphabet in product(range(3), (base64.b64encode, base64.urlsafe_b64encode)):
        found.add(alphabet(bytes(shift) + data)[4 if shift else 0 : -4].rstrip(b"="))
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a queue whose worker has secrets and a key, and whose broker keeps everything on disk."""
    directory = tmp_path_factory.mktemp("canaries")
    for name in ("secrets", "keys-of-jobs"):
        (directory / name).mkdir()
    save_signer(KEY, directory / "keys-of-jobs" / "key.pem")
    config = directory / "effects.toml"
    config.write_text(
        f'[secrets]\nfiles = "{directory / "secrets"}"\n[keys]\ndirectory = "{directory / "keys-of-jobs"}"\n'
    )
    stack = Stack(directory, aof=True, effects_config=config)
    try:
        stack.start_valkey()
        stack.start_worker("w", "-P", "prefork", "-c", "2", "-E", program="ipvm_queue.worker")
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def canaries(world):
    """Return the canaries of this queue."""
    return Canaries(world.directory / "secrets")


def secret(name, **more):
    """Return the job that gets a canary."""
    return {"type": "ipvm/effect", "with": f"ipvm:secret:shop?secret={name}", "do": "secret/get", **more}


@pytest.fixture(scope="module")
def seen(world, canaries):
    """Let canaries fly every way, through the library and the command line; return all that came out in public."""
    with world.client() as client:
        cid = client.blocks.put(GUEST)

        def guest(func, label, **more):
            return {"type": "wasm/1.0", "with": cid, "func": func, "input": [{"from": label}], **more}

        for name in ("plain", "boxed", "signed"):
            canaries.new(name)
        canaries.new("long", size=500)
        box = seal(KEY.did, canaries.texts["boxed"].encode())
        jobs = {
            "plain": secret("plain"),
            "passed": guest("first", "plain"),
            "shouted": guest("shout", "plain"),
            "again": guest("first", "passed"),
            "long": secret("long"),
            "longer": guest("first", "long"),
            "opened": {"type": "ipvm/effect", "with": KEY.did, "do": "crypto/decrypt", "value": box},
            "reopened": guest("first", "opened"),
            "signature": {"type": "ipvm/effect", "with": KEY.did, "do": "crypto/sign", "value": {"from": "plain"}},
            # A secret where no secret belongs: errors quote what is wrong.
            "as-uri": {"type": "ipvm/effect", "with": {"from": "plain"}, "do": "crud/read"},
            "as-func": {"type": "wasm/1.0", "with": cid, "func": {"from": "plain"}, "input": [1]},
            "as-module": {"type": "wasm/1.0", "with": {"from": "plain"}, "func": "first", "input": [1]},
            "as-box": {"type": "ipvm/effect", "with": KEY.did, "do": "crypto/decrypt", "value": {"from": "opened"}},
        }
        document = {"header": {"catch": {"type": "wasm/1.0", "with": cid, "func": "first"}}, "jobs": jobs}
        job = world.directory / "job.json"
        job.write_text(to_json(document))
        said = [ipvm(world, "ipvm-submit", job, "--json"), ipvm(world, "ipvm-submit", job)]
        ran = json.loads(said[0].stdout)
        commands = [("run", "show", ran["run"]), ("run", "show", ran["run"], "--json"), ("run", "list"), ("graph", job)]
        commands += [("receipt", "get", each["receipt"]["/"], "--json") for each in ran["tasks"].values()]
        said += [ipvm(world, "ipvm", *command) for command in commands]
        run = client.run(ran["run"])
        results = run.results()
        yield {"said": said, "answer": ran, "results": results, "run": run}


def ipvm(world, program, *arguments):
    """Run a command on that queue."""
    command = [BIN / program, *map(str, arguments)]
    return subprocess.run(command, env=world.environment(), cwd=ROOT, capture_output=True, check=False)


def test_the_canaries_were_really_there(canaries, seen):
    """Their owner opens them: every way was flown, and each error holds what it quotes."""
    run = seen["run"]
    plain = canaries.texts["plain"]

    assert (run["plain"].ok, run["passed"].ok, run["long"].ok) == (plain, plain, canaries.texts["long"])
    assert run["longer"].ok == run["long"].ok
    assert run["opened"].ok == run["reopened"].ok == canaries.texts["boxed"].encode()
    assert verify(KEY.did, run["signature"].ok, plain.encode())
    assert plain in run["shouted"].error["stderr"]
    assert {label for label, each in seen["results"].items() if not each.secret} == set()
    assert [run[label].state for label in ("as-uri", "as-func", "as-module", "as-box")] == ["error"] * 4


def test_no_canary_is_in_what_commands_say(canaries, seen):
    """Neither words nor JSON, neither on standard output nor beside it."""
    assert [each.args for each in seen["said"] if canaries.found_in(each.stdout + each.stderr)] == []
    assert seen["answer"]["tasks"]["plain"]["out"] == {"ok": {"secret": True}}
    assert seen["answer"]["tasks"]["shouted"]["out"] == {"error": {"secret": True}}


def test_no_canary_is_in_logs_or_files(world, canaries, seen):
    """Nothing on disk holds one: no log, no cache, nothing that the broker has written ahead; but for their folder."""
    del seen
    written = [
        path
        for path in world.directory.rglob("*")
        if path.is_file() and canaries.directory not in path.parents and canaries.found_in(path.read_bytes())
    ]

    assert written == []
    assert sum(path.stat().st_size for path in (world.directory / "valkey").rglob("*.aof")) > 10_000
    assert (world.directory / "w.log").stat().st_size > 0


def test_others_are_told_that_it_is_secret(world, seen):
    """Another key sees that a task ended, and not in what; nor can it open the boxes that it can read."""
    stranger = Signer.generate()
    save_signer(stranger, world.directory / "stranger.pem")
    shown = subprocess.run(
        [BIN / "ipvm", "run", "show", seen["answer"]["run"], "--json", "--key", world.directory / "stranger.pem"],
        env=world.environment(), cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip

    assert b"secret" in shown.stdout
    receipts = [seen["run"][label].receipt for label in ("plain", "passed", "shouted", "opened")]
    boxes = [next(iter(read(world_blocks(world).get(each)).out.values()))["ipvm/sealed"] for each in receipts]
    for box in boxes:
        with pytest.raises(WrongKeyError):
            open_sealed(stranger, box)


def test_what_is_secret_is_not_pinned(world):
    """A pin is a block, in plain: content that is to stay secret gets no handle, and the error says why."""
    with world.client() as client:
        job = {"type": "ipvm/effect", "with": f"cid:{client.blocks.put(b'known')}", "do": "handle/resolve"}
        run = client.submit({"hidden": {**job, "public": False}, "shown": job}).wait(60)

    assert run["hidden"].error["code"] == "effect/secret-block"
    assert run["shown"].state == "ok"


def world_blocks(world):
    """Return the blocks of that queue."""
    return RedisBlocks(connect(world.url), Keys("tests"))
