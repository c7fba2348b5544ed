"""What a pure guest may ask of its host, what it costs, and what it may not."""

from __future__ import annotations

import pytest
from wasm_guests import BYTES_ABI, MEMORY, Bench, wat

from ipvm_queue.ipld import DAG_CBOR, Link, encode
from ipvm_queue.store import Keys, RedisBlocks, connect
from ipvm_queue.wasm import Executor, Limits
from ipvm_queue.wasm.host import CALL_GAS

LIMITS = Limits(gas=10_000_000, memory=64 << 20, time=30.0)
BLOCK = encode({"text": "a block", "numbers": list(range(100))})
LINK = Link.of(BLOCK, DAG_CBOR)
CID_AT = len(encode([LINK])) - 36

CORE_READER = wat(f"""(module
  (import "ipvm:host/blocks" "get" (func $get (param i32 i32) (result i64)))
  {BYTES_ABI}
  (func (export "read") (param i32 i32) (result i64)
    (call $get (i32.add (local.get 0) (i32.const {CID_AT})) (i32.const 36)))
  (func (export "bad-cid") (param i32 i32) (result i64) (call $get (local.get 0) (i32.const 36)))
  (func (export "long-cid") (param i32 i32) (result i64) (call $get (local.get 0) (i32.const 100000)))
  (func (export "outside") (param i32 i32) (result i64) (call $get (i32.const -4) (i32.const 36)))
  (func (export "forever") (param i32 i32) (result i64)
    (loop $more
      (drop (call $get (i32.add (local.get 0) (i32.const {CID_AT})) (i32.const 36)))
      (global.set $top (i32.const 4096))
      (br $more))
    i64.const 0))""")


def component_reader(kind: str) -> bytes:
    """Return a component that reads blocks by a CID of that WIT type."""
    return wat(f"""(component
      (import "ipvm:host/blocks" (instance $blocks (export "get" (func (param "cid" {kind}) (result (list u8))))))
      (import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u64)))))
      (core module $L {MEMORY})
      (core instance $l (instantiate $L))
      (core func $get (canon lower (func $blocks "get")
        (memory (core memory $l "memory")) (realloc (core func $l "realloc"))))
      (core func $random (canon lower (func $random "get-random-u64")))
      (core module $M
        (import "h" "get" (func $get (param i32 i32 i32)))
        (import "h" "random" (func $random (result i64)))
        (func (export "read") (param i32 i32) (result i32)
          (call $get (local.get 0) (local.get 1) (i32.const 16)) i32.const 16)
        (func (export "random") (result i64) call $random))
      (core instance $m (instantiate $M
        (with "h" (instance (export "get" (func $get)) (export "random" (func $random))))))
      (func (export "read") (param "cid" {kind}) (result (list u8)) (canon lift (core func $m "read")
        (memory (core memory $l "memory")) (realloc (core func $l "realloc"))))
      (func (export "random") (result u64) (canon lift (core func $m "random"))))""")


def test_a_core_module_reads_a_block(bench: Bench):
    """`ipvm:host/blocks` `get` places a block where the guest's allocator says."""
    bench.blocks[LINK] = BLOCK

    outcome = bench.run(CORE_READER, "read", LINK)

    assert outcome.out == {"ok": {"text": "a block", "numbers": list(range(100))}}
    assert outcome.cacheable
    assert CALL_GAS + len(BLOCK) < outcome.gas < CALL_GAS + len(BLOCK) + 500


@pytest.mark.parametrize(
    "alloc",
    ["(param i32)", "(param i64) (result i64) i64.const 0", "(param i32) (result i32 i32) i32.const 0 i32.const 0"],
)
def test_an_allocator_of_another_type_is_the_modules_mistake(bench: Bench, alloc: str):
    """`ipvm_alloc` is looked at before it is called, so that the error says what is wrong."""
    bench.blocks[LINK] = BLOCK
    cid = "".join(f"\\{byte:02x}" for byte in LINK.bytes)
    module = f"""(module
      (import "ipvm:host/blocks" "get" (func $get (param i32 i32) (result i64)))
      (memory (export "memory") 1) (data (i32.const 0) "{cid}")
      (func (export "ipvm_alloc") {alloc})
      (func (export "f") (result i64) (call $get (i32.const 0) (i32.const {len(LINK.bytes)}))))"""

    outcome = bench.run(module, "f")

    assert outcome.out["error"]["code"] == "wasm/bad-abi"
    assert "ipvm_alloc" in outcome.out["error"]["message"]
    assert outcome.cacheable


@pytest.mark.parametrize(("kind", "cid"), [("string", LINK), ("string", str(LINK)), ("(list u8)", LINK.bytes)])
def test_a_component_reads_a_block(bench: Bench, kind: str, cid: object):
    """A component asks by CID text or by the CID's bytes."""
    bench.blocks[LINK] = BLOCK

    outcome = bench.run(component_reader(kind), "read", cid)

    assert outcome.out == {"ok": BLOCK}
    assert outcome.gas > CALL_GAS + len(BLOCK)


def test_a_missing_block_ends_the_call(bench: Bench):
    """Whether a block is there is no result of a pure function: it ends, is not cacheable, and names the block."""
    missing = Link.of(b"not there", DAG_CBOR)

    for outcome in (bench.run(CORE_READER, "read", missing), bench.run(component_reader("string"), "read", missing)):
        assert outcome.out["error"]["code"] == "wasm/missing-block"
        assert outcome.out["error"]["cid"] == missing
        assert not outcome.cacheable


def test_a_lost_pinned_block_is_the_runners_fault(tmp_path, stack):
    """Content that was resolved to a handle is promised: where it is lost the runner has failed, not who asked."""
    blocks = RedisBlocks(connect(stack.url), Keys("handles"))
    blocks.pin({LINK: BLOCK})
    executor = Executor(blocks.get, tmp_path)
    module = blocks.put(CORE_READER)

    assert "ok" in executor.run(module, "read", [LINK], LIMITS).out

    stack.redis.delete(Keys("handles").pin(LINK))
    outcome = executor.run(module, "read", [LINK], LIMITS)

    assert (outcome.out["error"]["code"], outcome.out["error"]["fault"]) == ("wasm/lost-block", "runner")
    assert not outcome.cacheable


def test_a_failure_does_not_stick(bench: Bench):
    """What a host function raised in one call is gone in the next."""
    bench.blocks[LINK] = BLOCK
    bench.run(CORE_READER, "read", Link.of(b"not there", DAG_CBOR))

    assert "ok" in bench.run(CORE_READER, "read", LINK).out


@pytest.mark.parametrize(
    ("func", "code"), [("bad-cid", "bad-cid"), ("long-cid", "bad-cid"), ("outside", "bad-pointer")]
)
def test_a_cid_is_checked(bench: Bench, func: str, code: str):
    """What is no CID, or lies outside memory, is the guest's error."""
    error = bench.run(CORE_READER, func, LINK).out["error"]

    assert error["code"] == f"wasm/{code}"
    assert error["fault"] == "guest"


def test_reading_without_end_runs_out_of_gas(bench: Bench):
    """Host work is paid for, so that little guest code cannot keep the host busy."""
    bench.blocks[LINK] = BLOCK

    outcome = bench.run(CORE_READER, "forever", LINK, limits=Limits(100_000, 64 << 20, 30.0))

    assert outcome.out["error"]["code"] == "wasm/out-of-gas"


def test_a_host_call_without_the_gas_for_it_is_out_of_gas(bench: Bench):
    """A block that costs more than what is left is not delivered."""
    bench.blocks[LINK] = BLOCK

    outcome = bench.run(CORE_READER, "read", LINK, limits=Limits(CALL_GAS + 150, 64 << 20, 30.0))

    assert outcome.out["error"]["code"] == "wasm/out-of-gas"


def test_randomness_is_not_for_pure_guests(bench: Bench):
    """An import that is not offered traps when it is called, and is named."""
    error = bench.run(component_reader("string"), "random").out["error"]

    assert error["code"] == "wasm/forbidden-import"
    assert "wasi:random/random@0.2.0" in error["message"]


def test_a_core_guests_last_words_are_kept(bench: Bench):
    """What a runtime prints before it traps is in the error, and bounded."""
    module = f"""(module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
      {MEMORY}
      (data (i32.const 0) "\\10\\00\\00\\00\\06\\00\\00\\00")
      (data (i32.const 16) "panic!")
      (func (export "f")
        (if (call $sizes (i32.const 40) (i32.const 44)) (then unreachable))
        (if (i32.load (i32.const 40)) (then unreachable))
        (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 32)))
        (if (i32.ne (i32.load (i32.const 32)) (i32.const 6)) (then (loop br 0)))
        unreachable)
      (func (export "much")
        (i32.store (i32.const 4) (i32.const 60000))
        (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 32))) unreachable))"""

    few = bench.run(module, "f", limits=LIMITS).out["error"]
    many = bench.run(module, "much", limits=LIMITS).out["error"]

    assert few["code"] == "wasm/unreachable"
    assert few["stderr"] == "panic!"
    assert len(many["stderr"]) == 4096


def test_a_guest_that_exits_says_with_what(bench: Bench):
    """`proc_exit` ends the call, whatever its status."""
    module = """(module
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (func (export "f") (param i32) (call $exit (local.get 0)) unreachable))"""

    error = bench.run(module, "f", 3).out["error"]

    assert error["code"] == "wasm/exit"
    assert error["status"] == 3


LOGGING = wat(f"""(module
  (import "wasi:logging/logging" "log" (func $log (param i32 i32 i32 i32 i32)))
  {MEMORY}
  (func (export "f") (result i32)
    (call $log (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)) i32.const 1))""")


def test_logging_goes_nowhere_and_costs_gas(bench: Bench):
    """A guest may log; nothing comes of it but the gas."""
    outcome = bench.run(LOGGING, "f")

    assert outcome.out == {"ok": 1}
    assert outcome.gas > CALL_GAS


RUNTIME = wat(f"""(component
  (type $error' (instance (export "error" (type (sub resource)))))
  (import "wasi:io/error@0.2.0" (instance $ioerror (type $error')))
  (alias export $ioerror "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $stream (sub resource)))
    (export "input-stream" (type $input (sub resource)))
    (export "[method]input-stream.read" (func (param "self" (borrow $input)) (param "len" u64) (result (list u8))))
    (alias outer 1 $error (type $e))
    (type $closed' (variant (case "last-operation-failed" (own $e)) (case "closed")))
    (export "stream-error" (type $closed (eq $closed')))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $stream)) (param "contents" (list u8)) (result (result (error $closed)))))))
  (alias export $streams "output-stream" (type $stream))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr
    (alias outer 1 $stream (type $s))
    (export "output-stream" (type $s' (eq $s)))
    (export "get-stderr" (func (result (own $s'))))))
  (import "wasi:cli/environment@0.2.0" (instance $environment
    (export "get-environment" (func (result (list (tuple string string)))))))
  (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
  (core module $L {MEMORY})
  (core instance $l (instantiate $L))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory (core memory $l "memory")) (realloc (core func $l "realloc"))))
  (core func $get (canon lower (func $stderr "get-stderr")))
  (core func $env (canon lower (func $environment "get-environment")
    (memory (core memory $l "memory")) (realloc (core func $l "realloc"))))
  (core func $exit (canon lower (func $exit "exit")))
  (core module $M
    (import "h" "memory" (memory 1))
    (import "h" "write" (func $write (param i32 i32 i32 i32)))
    (import "h" "get" (func $get (result i32)))
    (import "h" "env" (func $env (param i32)))
    (import "h" "exit" (func $exit (param i32)))
    (data (i32.const 64) "panicked at 'oh no'")
    (func (export "panic")
      (call $env (i32.const 0))
      (if (i32.load (i32.const 4)) (then (loop br 0)))
      (call $write (call $get) (i32.const 64) (i32.const 19) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then (loop br 0)))
      unreachable)
    (func (export "exit") (call $exit (i32.const 1)) unreachable))
  (core instance $m (instantiate $M (with "h" (instance
    (export "memory" (memory $l "memory")) (export "write" (func $write)) (export "get" (func $get))
    (export "env" (func $env)) (export "exit" (func $exit))))))
  (func (export "panic") (canon lift (core func $m "panic")))
  (func (export "exit") (canon lift (core func $m "exit"))))""")


def test_a_components_last_words_are_kept(bench: Bench):
    """A language runtime finds an empty environment and a stderr that ends in the error."""
    error = bench.run(RUNTIME, "panic", limits=LIMITS).out["error"]

    assert error["code"] == "wasm/unreachable"
    assert error["stderr"] == "panicked at 'oh no'"


def test_a_component_that_exits_says_with_what(bench: Bench):
    """`wasi:cli/exit` ends the call."""
    error = bench.run(RUNTIME, "exit").out["error"]

    assert error["code"] == "wasm/exit"
    assert error["status"] == 1


def test_an_interface_is_called_by_its_name(bench: Bench):
    """A function of an exported interface is `interface#function`."""
    component = wat("""(component
      (core module $M (func (export "f") (result i32) i32.const 42))
      (core instance $m (instantiate $M))
      (func $f (result u32) (canon lift (core func $m "f")))
      (instance $i (export "the-answer" (func $f)))
      (export "demo:pkg/api@1.0.0" (instance $i)))""")

    assert bench.run(component, "demo:pkg/api@1.0.0#the-answer").out == {"ok": 42}
    assert bench.run(component, "demo:pkg/api@1.0.0#theAnswer").out == {"ok": 42}
    assert bench.run(component, "the-answer").out["error"]["exports"] == ["demo:pkg/api@1.0.0#the-answer"]
