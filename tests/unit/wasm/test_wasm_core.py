"""Core modules: numbers by position, and DAG-CBOR in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from wasm_guests import BYTES_ABI, LIMITS, MEMORY, Bench, component, wat

from ipvm_queue.ipld import Link, encode, explain
from ipvm_queue.plan.model import Bounds
from ipvm_queue.wasm import Limits
from ipvm_queue.worker.execute import execute

NUMBERS = """(module
  (global $calls (mut i32) (i32.const 0))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "i64") (param i64) (result i64) local.get 0)
  (func (export "i32") (param i32) (result i32) local.get 0)
  (func (export "f32") (param f32) (result f32) local.get 0)
  (func (export "f64") (param f64) (result f64) local.get 0)
  (func (export "none"))
  (func (export "spin") (param i32)
    (loop $more (br_if $more (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "two") (result i32 f64) i32.const 7 f64.const 0.5)
  (func (export "zero-over-zero") (result f64) (f64.div (f64.const 0) (f64.const 0)))
  (func (export "infinity") (result f32) f32.const inf)
  (func (export "count") (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1))) global.get $calls)
  (func (export "fullName") (result i32) i32.const 1)
)"""

REGISTERS = (
    "(module"
    + BYTES_ABI
    + """
  (func (export "echo") (param i32 i32) (result i64) (call $pack (local.get 0) (local.get 1)))
  (func (export "nothing") (param i32 i32) (result i64) i64.const 0)
  (func (export "garbage") (param i32 i32) (result i64)
    (i32.store8 (i32.const 0) (i32.const 0xff)) (call $pack (i32.const 0) (i32.const 1)))
  (func (export "past-the-end") (param i32 i32) (result i64) (call $pack (i32.const 0x1ffff) (i32.const 2)))
  (func (export "far-away") (param i32 i32) (result i64) (call $pack (i32.const -1) (i32.const 1)))
  (func (export "wrapping") (param i32 i32) (result i64) (call $pack (i32.const -1) (i32.const 0x3ffffff)))
  (func (export "giant") (param i32 i32) (result i64) (call $pack (i32.const 0) (i32.const -1)))
  (func (export "scalar") (param i32) (result i32) local.get 0)
)"""
)


@pytest.mark.parametrize(
    ("func", "params", "result"),
    [
        ("add", [2, 40], 42),
        ("add", [2.0, 40], 42),
        ("i32", [-(2**31)], -(2**31)),
        ("i32", [2**32 - 1], -1),
        ("i64", [2**64 - 1], -1),
        ("i64", [-(2**63)], -(2**63)),
        ("f32", [3883.2], 3883.2),
        ("f32", [1], 1.0),
        ("f64", [0.1], 0.1),
        ("f64", [2**53], float(2**53)),
        ("none", [], None),
        ("two", [], [7, 0.5]),
    ],
)
def test_numbers_cross_unchanged(bench: Bench, func: str, params: list[Any], result: Any):
    """Integers are taken signed or unsigned and come back signed; floats come back as they print."""
    outcome = bench.run(NUMBERS, func, *params)

    assert outcome.out == {"ok": result}
    assert outcome.cacheable
    assert outcome.engine.startswith("wasmtime/")


@pytest.mark.parametrize(
    ("func", "params"),
    [
        ("i32", [2**32]),
        ("i32", [-(2**31) - 1]),
        ("i32", [1.5]),
        ("i32", [True]),
        ("i32", ["1"]),
        ("i32", [None]),
        ("i64", [2**64]),
        ("f32", [1e300]),
        ("f32", [float("nan")]),
        ("f64", [float("inf")]),
        ("f64", [10**400]),
        ("f64", [b"1"]),
    ],
)
def test_what_does_not_fit_is_refused(bench: Bench, func: str, params: list[Any]):
    """A number out of range or of another kind is the requestor's error; nothing wraps, nothing is cut."""
    outcome = bench.run(NUMBERS, func, *params)

    assert outcome.out["error"]["code"] == "wasm/argument"
    assert outcome.out["error"]["fault"] == "requestor"
    assert not outcome.cacheable


@pytest.mark.parametrize("params", [[], [1], [1, 2, 3]])
def test_the_number_of_arguments_counts(bench: Bench, params: list[Any]):
    """Too few and too many arguments are refused, with the signature in the message."""
    error = bench.run(NUMBERS, "add", *params).out["error"]

    assert error["code"] == "wasm/arity"
    assert "add(i32, i32) -> (i32)" in error["message"]


@pytest.mark.parametrize("func", ["zero-over-zero", "infinity"])
def test_a_result_without_ipld_form_is_an_error(bench: Bench, func: str):
    """NaN and infinity cannot be in a receipt; since every runner gets them, the error is cacheable."""
    outcome = bench.run(NUMBERS, func)

    assert outcome.out["error"]["code"] == "wasm/not-representable"
    assert outcome.cacheable


def test_each_call_has_an_instance_of_its_own(bench: Bench):
    """A global that one call changed is as new in the next."""
    assert [bench.run(NUMBERS, "count").out for _ in range(3)] == [{"ok": 1}] * 3


def test_an_export_is_found_in_another_case(bench: Bench):
    """A function that is not there by its exact name is found by its kebab-case one."""
    assert bench.run(NUMBERS, "full_name").out == {"ok": 1}


def test_an_absent_export_is_an_error_that_lists_the_others(bench: Bench):
    """A wrong name tells what could have been meant."""
    error = bench.run(NUMBERS, "subtract").out["error"]

    assert error["code"] == "wasm/missing-export"
    assert "fullName" in error["exports"]


def test_gas_is_the_same_each_time_and_never_more_than_allowed(bench: Bench):
    """Gas is counted exactly, and a call that needs more than it has uses all of it."""
    used = bench.run(NUMBERS, "spin", 1000).gas
    starved = bench.run(NUMBERS, "spin", 1000, limits=Limits(used // 2, LIMITS.memory, LIMITS.time))

    assert {bench.run(NUMBERS, "spin", 1000).gas for _ in range(3)} == {used}
    assert bench.run(NUMBERS, "spin", 1000, limits=Limits(used, LIMITS.memory, LIMITS.time)).out == {"ok": None}
    assert bench.run(NUMBERS, "spin", 1001).gas > used
    assert starved.out["error"]["code"] == "wasm/out-of-gas"
    assert starved.gas == used // 2
    assert not starved.cacheable


@pytest.mark.parametrize("wrap", [lambda text: wat(f"(module {text})"), component], ids=["core", "component"])
@pytest.mark.parametrize(
    ("end", "gas"),
    [
        ("", 7001),
        ("unreachable", 7001),
        ("(drop (i32.load (i32.const -1)))", None),
        ("(drop (i32.div_s (i32.const 1) (i32.const 0)))", None),
        ("(drop (i32.div_s (i32.const -2147483648) (i32.const -1)))", None),
        ("(drop (i32.trunc_f64_s (f64.const nan)))", None),
        ("(loop br 0)", None),
    ],
)
def test_gas_is_right_or_not_told(bench: Bench, wrap: Any, end: str, gas: int | None):
    """The engine loses count where the processor or the clock ends a call: no number is better than a wrong one."""
    loop = "(loop $l (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))"
    text = f'{MEMORY} (func (export "f") (local $i i32) {loop} {end})'

    assert bench.run(wrap(text), "f", limits=Limits(1 << 60, 1 << 20, 0.1)).gas == gas


def test_a_receipt_names_no_gas_that_is_not_known(bench: Bench):
    """What goes into a receipt's meta has `gas` where it is known, and the engine always."""
    tools: Any = SimpleNamespace(wasm=bench.executor, max_memory=1 << 30)
    trap = bench.put(wat('(module (memory 1) (func (export "f") (drop (i32.load (i32.const -1)))))'))
    add = bench.put(wat(NUMBERS))
    bounds = Bounds(time=5.0, memory=1 << 20, gas=1000, disk=1000)

    known = execute(tools, "/wasm/run", {"mod": add, "fun": "none", "params": []}, bounds)
    unknown = execute(tools, "/wasm/run", {"mod": trap, "fun": "f", "params": []}, bounds)

    assert set(known.meta) == {"gas", "engine"}
    assert set(unknown.meta) == {"engine"}


@pytest.mark.parametrize(("kind", "answer"), [("", 42), ("(param i32)", 0)])
def test_a_reactor_is_initialized_first(bench: Bench, kind: str, answer: int):
    """`_initialize()` has run once when an export is called; of another type it is a function like others."""
    module = f"""(module (global $g (mut i32) (i32.const 0))
      (func (export "_initialize") {kind} (global.set $g (i32.add (global.get $g) (i32.const 42))))
      (func (export "answer") (result i32) (global.get $g)))"""

    assert bench.run(module, "answer").out == {"ok": answer}


def test_a_reactor_is_initialized_within_its_limits(bench: Bench):
    """A constructor without end is the call's: it uses up its gas."""
    module = '(module (func (export "_initialize") (loop br 0)) (func (export "f")))'

    assert bench.run(module, "f", limits=Limits(1000, 1 << 20, 5.0)).out["error"]["code"] == "wasm/out-of-gas"


def test_no_gas_is_out_of_gas(bench: Bench):
    """A limit of zero runs nothing."""
    assert bench.run(NUMBERS, "add", 1, 2, limits=Limits(0, 1 << 20, 1.0)).out["error"]["code"] == "wasm/out-of-gas"


@pytest.mark.parametrize(
    "params",
    [[], [1, "two", None, True, 1.5], [{"b": [b"\0", {}], "a": Link.of(b"x")}], ["x" * 100_000], [b"y" * 3_000_000]],
)
def test_values_cross_as_dag_cbor(bench: Bench, params: list[Any]):
    """With `ipvm_alloc` exported, the argument list goes in and the result comes out as DAG-CBOR."""
    assert bench.run(REGISTERS, "echo", *params).out == {"ok": params}


@pytest.mark.parametrize(
    ("func", "code"),
    [
        ("nothing", "wasm/bad-result"),
        ("garbage", "wasm/bad-result"),
        ("past-the-end", "wasm/bad-pointer"),
        ("far-away", "wasm/bad-pointer"),
        ("wrapping", "wasm/bad-pointer"),
        ("giant", "wasm/output-limit"),
    ],
)
def test_a_result_is_read_only_where_it_is(bench: Bench, func: str, code: str):
    """A pointer outside memory, a length that is too large and bytes that are no DAG-CBOR are errors of the guest."""
    error = bench.run(REGISTERS, func, 1).out["error"]

    assert error["code"] == code
    assert error["fault"] == "guest"


def test_what_is_wrong_with_a_result_is_said_in_the_same_words_everywhere(bench: Bench):
    """They are in a receipt that others compare with their own: those of the reference, whichever codec is in use."""
    data = b"\xfb\x7f\xf8" + bytes(6)  # NaN
    module = f"""(module (memory (export "memory") 1)
      (data (i32.const 0) "\\fb\\7f\\f8\\00\\00\\00\\00\\00\\00")
      (func (export "ipvm_alloc") (param i32) (result i32) i32.const 100)
      (func (export "f") (param i32 i32) (result i64) i64.const {len(data)}))"""

    outcome = bench.run(module, "f")

    assert outcome.out["error"]["message"] == f"the result is not DAG-CBOR: {explain(data)}"
    assert outcome.cacheable


@pytest.mark.parametrize(("count", "code"), [(1_048_575, None), (1_048_576, "wasm/output-limit")])
def test_a_result_has_so_many_values(bench: Bench, count: int, code: str | None):
    """A value is a byte of the guest's and a hundred of the worker's: a list of too many is an error of the guest."""
    module = f"""(module (memory (export "memory") 32)
      (func (export "ipvm_alloc") (param i32) (result i32) i32.const 0)
      (func (export "f") (param i32 i32) (result i64)
        (i64.store (i32.const 1) (i64.const {int.from_bytes(count.to_bytes(4), "little")}))
        (i32.store8 (i32.const 0) (i32.const 0x9a))
        (memory.fill (i32.const 5) (i32.const 0xa0) (i32.const {count}))
        (i64.const {count + 5})))"""

    outcome = bench.run(module, "f", limits=Limits(10_000_000, 64 << 20, 60.0))

    if code is None:
        assert outcome.out == {"ok": [{}] * count}
    else:
        assert (outcome.out["error"]["code"], outcome.out["error"]["fault"]) == (code, "guest")


@pytest.mark.parametrize("pointer", [0x20000, -1, 0x1FFFF])
def test_arguments_are_written_only_where_there_is_memory(bench: Bench, pointer: int):
    """An allocator that answers with a place outside memory is an error of the guest."""
    module = f"""(module (memory (export "memory") 2)
      (func (export "ipvm_alloc") (param i32) (result i32) (i32.const {pointer}))
      (func (export "f") (param i32 i32) (result i64) i64.const 0))"""

    assert bench.run(module, "f", "some", "arguments").out["error"]["code"] == "wasm/bad-pointer"


def test_arguments_that_are_no_ipld_are_refused(bench: Bench):
    """What cannot be encoded never reaches the guest."""
    assert bench.run(REGISTERS, "echo", float("nan")).out["error"]["code"] == "wasm/argument"


def test_a_module_with_an_allocator_keeps_its_scalar_functions(bench: Bench):
    """Which way a function is called follows from its own signature."""
    assert bench.run(REGISTERS, "scalar", 5).out == {"ok": 5}


def test_a_large_result_is_taken_up_to_the_limit(bench: Bench):
    """Bytes cross this way without the limit that components have."""
    data = bytes(range(256)) * (10 << 12)

    assert bench.run(REGISTERS, "echo", data, limits=Limits(10**9, 256 << 20, 30.0)).out == {"ok": [data]}


def test_a_warm_module_is_not_read_again(bench: Bench):
    """The block of a module is read and hashed once, however often it is called."""
    bench.run(NUMBERS, "none")
    before = len(bench.reads)
    bench.run(NUMBERS, "none")

    assert len(bench.reads) == before


def test_dag_cbor_of_the_arguments_is_what_the_guest_sees(bench: Bench):
    """The guest gets the canonical encoding of the argument list, byte for byte."""
    module = (
        "(module"
        + BYTES_ABI
        + """(func (export "length") (param i32 i32) (result i64)
               (i32.store8 (i32.const 0) (i32.const 0x18)) (i32.store8 (i32.const 1) (local.get 1))
               (call $pack (i32.const 0) (i32.const 2))))"""
    )

    assert bench.run(module, "length", "x" * 50).out == {"ok": len(encode(["x" * 50]))}
