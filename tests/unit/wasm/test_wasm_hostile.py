"""What guests do to get out, or to take the process down: each ends as an error with its code, and the process goes on.

All of them run in one child process, which must answer again after each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wasm_guests import BYTES_ABI, LIFT, MEMORY, ZEROS, Child, component, echoes, wat

from ipvm_queue.wasm import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

HEALTHY = wat('(module (func (export "f") (result i32) i32.const 42))')
TIGHT = Limits(gas=1_000_000, memory=64 << 20, time=30.0)
RICH = Limits(gas=1 << 62, memory=64 << 20, time=0.3)
DEEP = "(local i64) " * 200
LOOP = "(loop br 0)"
GROWING = """(module (memory 1) (func (export "f") (result i32)
  (loop $more (br_if $more (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0)))) memory.size))"""
TABLE = """(module (table 1 funcref) (func (export "f") (result i32)
  (table.grow (ref.null func) (i32.const 10000000))))"""
STDOUT_FLOOD = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1000)
  (func (export "f") (result i32)
    (i32.store (i32.const 4) (i32.const 60000000))
    (loop $more (br_if $more (i32.eqz (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
    (loop $again (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br $again))
    i32.const 0))"""
ALIASES = component(
    MEMORY.replace(" 2)", " 20)")
    + """(func (export "f") (result i32) (local $at i32)
      (loop $more
        (i32.store offset=4 (local.get $at) (i32.const 1000000))
        (br_if $more (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 800000))))
      (i32.store (i32.const 1000004) (i32.const 100000))
      i32.const 1000000)""",
    "(result (list (list u8)))",
)


def returning(words: str, kind: str) -> bytes:
    """Return a component whose function gives back whatever lies at address 0."""
    return component(f'{MEMORY} (data (i32.const 0) "{words}") (func (export "f") (result i32) i32.const 0)', kind)


def trapping(body: str) -> list[bytes]:
    """Return a body as a core module and as a component."""
    core = f'(memory (export "memory") 1) (table 2 funcref) (type $v (func)) (func (export "f") {body})'
    realloc = '(func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)'
    return [wat(f"(module {core})"), component(core + realloc)]


CASES: dict[str, tuple[bytes, Limits, str, bool]] = {
    "a loop without end": (wat(f'(module (func (export "f") {LOOP}))'), TIGHT, "out-of-gas", False),
    "a loop in start": (wat(f'(module (func $s {LOOP}) (start $s) (func (export "f")))'), TIGHT, "out-of-gas", False),
    "a loop in a component": (component(f'{MEMORY} (func (export "f") {LOOP})'), TIGHT, "out-of-gas", False),
    "a loop with all gas": (wat(f'(module (func (export "f") {LOOP}))'), RICH, "time-limit", False),
    "a start loop with all gas": (
        wat(f'(module (func $s {LOOP}) (start $s) (func (export "f")))'), RICH, "time-limit", False,
    ),
    "a component loop with all gas": (component(f'{MEMORY} (func (export "f") {LOOP})'), RICH, "time-limit", False),
    "recursion": (wat('(module (func $f (export "f") call $f))'), TIGHT, "stack-overflow", False),
    "recursion with big frames": (
        wat(f'(module (func $f (export "f") (result i64) {DEEP} (i64.add (call $f) (local.get 199))))'),
        TIGHT, "stack-overflow", False,
    ),
    "recursion in a component": (component(f'{MEMORY} (func $f (export "f") call $f)'), TIGHT, "stack-overflow", False),
    "memory from the start": (wat('(module (memory 2000) (func (export "f")))'), TIGHT, "memory-limit", False),
    "a hundred memories": (
        wat(f'(module {"(memory 1000)" * 100} (func (export "f")))'), TIGHT, "instance-limit", False,
    ),
    "two memories": (wat('(module (memory 1) (memory 1) (func (export "f")))'), TIGHT, "instance-limit", False),
    "five memories in a component": (
        wat(
            f'(component (core module $M (memory 1) (func (export "f"))) {"(core instance (instantiate $M))" * 4} '
            '(core instance $m (instantiate $M)) (func (export "f") (canon lift (core func $m "f"))))'
        ),
        TIGHT, "instance-limit", False,
    ),
    "a function named like an error": (
        component(f'{MEMORY} (func (@name "x\\0aall fuel consumed") (export "f") unreachable)'),
        TIGHT, "unreachable", True,
    ),
    "an import named like an error": (
        wat('(module (import "x\\0aall fuel consumed" "y" (func $y)) (func (export "f") call $y))'),
        TIGHT, "forbidden-import", False,
    ),
    "an async function": (
        wat(
            '(component (core module $M (import "h" "ret" (func $ret (param i32))) '
            '(func (export "f") (result i32) (call $ret (i32.const 7)) i32.const 0) '
            '(func (export "back") (param i32 i32 i32) (result i32) i32.const 0)) '
            '(core func $ret (canon task.return (result u32))) '
            '(core instance $m (instantiate $M (with "h" (instance (export "ret" (func $ret)))))) '
            '(func (export "f") async (result u32) '
            '(canon lift (core func $m "f") async (callback (core func $m "back")))))'
        ),
        TIGHT, "unsupported-type", False,
    ),
    "an enum many times over": (
        wat(
            f"""(component (type $e' (enum {" ".join(f'"c{number}"' for number in range(1000))}))
            (export $e "e" (type $e')) (type $t (tuple {"$e " * 200}))
            (core module $M {MEMORY} (func (export "f") (param i32))) (core instance $m (instantiate $M))
            (func (export "f") (param "x" $t) (canon lift (core func $m "f") {LIFT})))"""
        ),
        TIGHT, "unsupported-type", False,
    ),
    "long names many times over": (
        wat(
            f"""(component (core module $M (func (export "f"))) (core instance $m (instantiate $M))
            (func $f (canon lift (core func $m "f")))
            (instance $i {" ".join(f'(export "f{number}" (func $f))' for number in range(1000))})
            (export "f" (func $f)) (export "a:b/{"x" * 5000}" (instance $i)))"""
        ),
        TIGHT, "unsupported-type", False,
    ),
    "memory in a component": (
        component(MEMORY.replace(" 2)", " 2000)") + '(func (export "f"))'), TIGHT, "memory-limit", False,
    ),
    "a large table": (wat('(module (table 10000000 funcref) (func (export "f")))'), TIGHT, "table-limit", False),
    "a thousand instances": (
        wat(
            f'(component (core module $M) {"(core instance (instantiate $M))" * 1000} '
            '(core module $N (func (export "f"))) (core instance $n (instantiate $N)) '
            '(func (export "f") (canon lift (core func $n "f"))))'
        ),
        TIGHT, "instance-limit", False,
    ),
    "lists that share their bytes": (ALIASES, Limits(10**9, 64 << 20, 30.0), "output-limit", False),
    "text that is no UTF-8": (
        returning("\\08\\00\\00\\00\\02\\00\\00\\00\\ff\\ff", "(result string)"), TIGHT, "bad-result", True,
    ),
    "text past the end": (
        returning("\\ff\\ff\\01\\00\\ff\\ff\\00\\00", "(result string)"), TIGHT, "bad-pointer", True,
    ),
    "a list past the end": (
        returning("\\ff\\ff\\01\\00\\ff\\ff\\00\\00", "(result (list u8))"), TIGHT, "bad-pointer", True,
    ),
    "a surrogate for a char": (
        component(f'{MEMORY} (func (export "f") (result i32) i32.const 0xd800)', "(result char)"),
        TIGHT, "bad-result", True,
    ),
    "a result outside memory": (
        component(f'{MEMORY} (func (export "f") (result i32) i32.const -4)', "(result string)"),
        TIGHT, "bad-pointer", True,
    ),
    "v128 in an export": (wat('(module (func (export "f") (param v128)))'), TIGHT, "invalid-module", False),
    "v128 as a result": (
        wat('(module (func (export "f") (result v128) (v128.const i64x2 0 0)))'), TIGHT, "invalid-module", False,
    ),
    "v128 in an import": (
        wat('(module (import "a" "b" (func (param v128))) (func (export "f")))'), TIGHT, "invalid-module", False,
    ),
    "anyref": (wat('(module (func (export "f") (param anyref)))'), TIGHT, "invalid-module", False),
    "externref": (wat('(module (func (export "f") (param externref)))'), TIGHT, "invalid-module", False),
    "a typed function reference": (
        wat('(module (type $t (func)) (func (export "f") (param (ref $t))))'), TIGHT, "invalid-module", False,
    ),
    "a structure": (
        wat('(module (type $s (struct (field i32))) (func (export "f") (param (ref $s))))'),
        TIGHT, "invalid-module", False,
    ),
    "a shared memory": (wat('(module (memory 1 1 shared) (func (export "f")))'), TIGHT, "invalid-module", False),
    "an exception tag": (wat('(module (tag) (func (export "f")))'), TIGHT, "invalid-module", False),
    "code that does not validate": (
        wat('(module (func (export "f") (result i32) i64.const 1))'), TIGHT, "invalid-module", False,
    ),
    "bytes that are no Wasm": (b"not Wasm at all", TIGHT, "invalid-module", False),
    "a module cut short": (HEALTHY[:-3], TIGHT, "invalid-module", False),
    "an import that is called": (
        wat('(module (import "a" "b" (func $b)) (func (export "f") call $b))'), TIGHT, "forbidden-import", False,
    ),
    "an import with two types": (
        wat('(module (import "a" "b" (func)) (import "a" "b" (func (param i32))) (func (export "f")))'),
        TIGHT, "invalid-module", False,
    ),
    "a module that is imported": (
        wat('(component (import "m" (core module (export "x" (func (param v128))))))'), TIGHT, "invalid-module", False,
    ),
    "a vector that is imported": (
        wat('(module (import "a" "b" (global v128)) (func (export "f")))'), TIGHT, "forbidden-import", False,
    ),
    "a start function that traps": (
        wat('(module (func $s unreachable) (start $s) (func (export "f")))'), TIGHT, "unreachable", True,
    ),
    "data that does not fit": (
        wat('(module (memory 1) (data (i32.const 65536) "x") (func (export "f")))'),
        TIGHT, "memory-out-of-bounds", True,
    ),
    "tail calls without end": (wat('(module (func $f (export "f") return_call $f))'), TIGHT, "out-of-gas", False),
    "a resource as a result": (
        wat(
            '(component (core module $M (func (export "f") (result i32) i32.const 0)) '
            '(core instance $m (instantiate $M)) '
            '(type $r (resource (rep i32))) (export $e "r" (type $r)) '
            '(func (export "f") (result (own $e)) (canon lift (core func $m "f"))))'
        ),
        TIGHT, "unsupported-type", False,
    ),
    "a memory that is imported": (
        wat('(module (import "a" "b" (memory 1)) (func (export "f")))'), TIGHT, "forbidden-import", False,
    ),
    "a sleep": (
        wat(
            '(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $p (param i32 i32 i32 i32) (result i32))) '
            '(memory (export "memory") 1) '
            '(func (export "f") (drop (call $p (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))))'
        ),
        TIGHT, "forbidden-import", False,
    ),
    "a flood of output": (wat(STDOUT_FLOOD), Limits(1_000_000, 128 << 20, 30.0), "out-of-gas", False),
    "an exit": (
        wat(
            '(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) '
            '(func (export "f") (call $exit (i32.const 3))))'
        ),
        TIGHT, "exit", True,
    ),
    "a stream as a result": (
        component(f'{MEMORY} (func (export "f") (result i32) i32.const 0)', "(result (stream u8))"),
        TIGHT, "unsupported-type", False,
    ),
    "an option of an option": (
        component(f'{MEMORY} (func (export "f") (result i32) i32.const 0)', "(result (option (option u8)))"),
        TIGHT, "unsupported-type", False,
    ),
}  # fmt: skip
TRAPS = {
    "unreachable": ("unreachable", "unreachable"),
    "division by zero": ("(drop (i32.div_s (i32.const 1) (i32.const 0)))", "integer-division-by-zero"),
    "overflow": ("(drop (i32.div_s (i32.const -2147483648) (i32.const -1)))", "integer-overflow"),
    "memory out of bounds": ("(drop (i32.load (i32.const -1)))", "memory-out-of-bounds"),
    "table out of bounds": ("(call_indirect (type $v) (i32.const 9))", "table-out-of-bounds"),
    "a null function": ("(call_indirect (type $v) (i32.const 0))", "indirect-call-to-null"),
    "no number": ("(drop (i32.trunc_f64_s (f64.const nan)))", "bad-conversion-to-integer"),
}


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """Return a process that runs guests."""
    child = Child(tmp_path_factory.mktemp("artefacts"))
    yield child
    child.close()


@pytest.fixture(autouse=True)
def _still_there(child: Child) -> Iterator[None]:
    yield
    assert child.run(HEALTHY, "f") == ({"ok": 42}, True)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_module_ends_with_its_code(child: Child, name: str):
    """Whatever the module does, there is an error with a stable code, and the process goes on."""
    module, limits, code, cacheable = CASES[name]

    out, was_cacheable = child.run(module, "f", limits=limits)

    assert out["error"]["code"] == f"wasm/{code}"
    assert out["error"]["fault"] in {"guest", "requestor"}
    assert was_cacheable is cacheable


@pytest.mark.parametrize("form", [0, 1], ids=["core", "component"])
@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_has_the_same_code_in_core_modules_and_components(child: Child, name: str, form: int):
    """A trap of the guest's own is its result: the same for every runner, hence cacheable."""
    body, code = TRAPS[name]

    out, cacheable = child.run(trapping(body)[form], "f", limits=TIGHT)

    assert out["error"]["code"] == f"wasm/{code}"
    assert out["error"]["fault"] == "guest"
    assert cacheable


def test_growing_stops_at_the_limit(child: Child):
    """`memory.grow` says no at the limit that the task states: 64 MiB are 1024 pages."""
    assert child.run(wat(GROWING), "f", limits=TIGHT)[0] == {"ok": 1024}


def test_a_table_does_not_grow_past_its_limit(child: Child):
    """`table.grow` says no, too."""
    assert child.run(wat(TABLE), "f", limits=TIGHT)[0] == {"ok": -1}


@pytest.mark.parametrize("value", [chr(0xD800), chr(0xDFFF), "", "ab"])
def test_a_lone_surrogate_is_no_char(child: Child, value: str):
    """What the engine would die of never reaches it."""
    out, _ = child.run(echoes({"char": "char"}), "char", value, ZEROS)

    assert out["error"]["code"] == "wasm/argument"


@pytest.mark.parametrize("body", ["i32.const -8", f"{LOOP} unreachable"], ids=["out of bounds", "endless"])
def test_a_hostile_allocator(child: Child, body: str):
    """Placing an argument ends with an error where the guest's allocator misbehaves."""
    core = f"""(memory (export "memory") 1) (func (export "f") (param i32 i32))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) {body})"""

    out, _ = child.run(component(core, '(param "s" string)'), "f", "hello", limits=TIGHT)

    assert out["error"]["code"] in {"wasm/bad-pointer", "wasm/out-of-gas"}


@pytest.mark.parametrize("body", ["unreachable", f"{LOOP} unreachable"])
def test_an_allocator_that_fails_under_the_host(child: Child, body: str):
    """An `ipvm_alloc` that traps is the guest's error, also where a host function called it."""
    module = f"""(module (import "ipvm:host/blocks" "get" (func $get (param i32 i32) (result i64)))
      (memory (export "memory") 1)
      (func (export "ipvm_alloc") (param i32) (result i32) {body})
      (func (export "f") (param i32 i32) (result i64) i64.const 0)
      (func (export "g") (drop (call $get (i32.const 0) (i32.const 0)))))"""

    out, _ = child.run(wat(module), "f", limits=TIGHT)

    assert out["error"]["code"] in {"wasm/unreachable", "wasm/out-of-gas"}


def test_many_arguments_of_a_component_have_a_cap(child: Child):
    """The engine keeps some eighty bytes for each byte of a list, so five megabytes are refused at once."""
    out, _ = child.run(echoes({"bytes": "(list u8)"}), "bytes", bytes(5 << 20), ZEROS)

    assert out["error"]["code"] == "wasm/input-limit"
    assert out["error"]["fault"] == "requestor"


def test_simd_inside_a_module_runs(child: Child):
    """Vectors are refused only where they would cross the module's border."""
    module = """(module (func (export "f") (result i32)
      (i32x4.extract_lane 3 (i32x4.add (v128.const i32x4 1 2 3 4) (v128.const i32x4 10 20 30 38)))))"""

    assert child.run(wat(module), "f")[0] == {"ok": 42}


def test_an_unused_import_does_no_harm(child: Child):
    """A module may name whatever it does not call."""
    module = f"""(module (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
      {BYTES_ABI} (func (export "f") (result i32) i32.const 42))"""

    assert child.run(wat(module), "f")[0] == {"ok": 42}


@pytest.mark.parametrize("value", ["\ud800", "text \udfff"])
def test_a_lone_surrogate_is_no_string(child: Child, value: str):
    """Text that has no UTF-8 is refused with the argument's name."""
    out, _ = child.run(echoes({"string": "string"}), "string", value, ZEROS)

    assert out["error"]["code"] == "wasm/argument"
    assert "argument x" in out["error"]["message"]


def test_a_type_that_unfolds_without_end(child: Child):
    """A type of a few hundred bytes can stand for thousands of parts; reading it has a limit."""
    doubled = "".join(f"(type $t{depth} (tuple $t{depth - 1} $t{depth - 1}))" for depth in range(1, 15))
    core = f'{MEMORY} (func (export "f") (param i32))'

    out, _ = child.run(component(core, '(param "x" $t14)', types=f"(type $t0 (tuple u8 u8)) {doubled}"), "f", 1)

    assert out["error"]["code"] == "wasm/unsupported-type"


def test_names_without_end_stay_out_of_the_error(child: Child):
    """A module may have as many and as long names as it likes; its error does not."""
    exports = "".join(f'(export "{"x" * 5000}{index}" (func $f))' for index in range(300))

    out, _ = child.run(wat(f"(module (func $f) {exports})"), "f")

    assert out["error"]["code"] == "wasm/missing-export"
    assert len(str(out)) < 10_000


def test_a_result_has_a_largest_size(child: Child):
    """A result that would not fit a receipt is an error, however it is spread."""
    core = (
        MEMORY.replace(" 2)", " 20)")
        + """(func (export "f") (result i32) (local $at i32)
      (loop $more
        (i32.store (local.get $at) (i32.const 1024))
        (i32.store offset=4 (local.get $at) (i32.const 1000000))
        (br_if $more (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 800))))
      (memory.fill (i32.const 1024) (i32.const 97) (i32.const 1000000))
      (i32.store (i32.const 1100000) (i32.const 0))
      (i32.store (i32.const 1100004) (i32.const 100))
      i32.const 1100000)"""
    )

    out, cacheable = child.run(component(core, "(result (list string))"), "f")

    assert out["error"]["code"] == "wasm/output-limit"
    assert not cacheable
