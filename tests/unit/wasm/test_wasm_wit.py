"""IPLD and WIT, both ways, by a component's own types: every rule and every refusal."""

from __future__ import annotations

from typing import Any

import pytest
from wasm_guests import MEMORY, ZEROS, Bench, component, echoes

from ipvm_queue.ipld import Link, encode

TYPES = """
  (type $person' (record (field "first-name" string) (field "age" u8) (field "nick" (option string))))
  (export $person "person-type" (type $person'))
  (type $shape' (variant (case "circle" f64) (case "none") (case "both" (tuple u8 string))))
  (export $shape "shape-type" (type $shape'))
  (type $colour' (enum "red" "green")) (export $colour "colour-type" (type $colour'))
  (type $rights' (flags "read" "write" "run")) (export $rights "rights-type" (type $rights'))
"""
KINDS = {
    **{name: name for name in ("bool", "u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64", "char")},
    "string": "string",
    "bytes": "(list u8)",
    "integers": "(list s32)",
    "texts": "(list string)",
    "nested": "(list (list (list u16)))",
    "blobs": "(list (list u8))",
    "pair": "(tuple string s8)",
    "map": "(list (tuple string u32))",
    "map-of-maps": "(list (tuple string (list (tuple string bool))))",
    "pairs": "(list (tuple u8 string))",
    "option": "(option string)",
    "options": "(list (option s32))",
    "option-list": "(option (list u8))",
    "result": "(result u8 (error string))",
    "result-ok": "(result u8)",
    "result-error": "(result (error string))",
    "result-empty": "(result)",
    "person": "$person",
    "people": "(list $person)",
    "shape": "$shape",
    "colour": "$colour",
    "rights": "$rights",
}
LINK = Link.of(b"a block")
BORIS = {"first-name": "Boris", "age": 40, "nick": None}
ROUND = [
    ("bool", True), ("bool", False), ("u8", 255), ("s8", -128), ("u16", 65535), ("s16", -32768),
    ("u32", 2**32 - 1), ("s32", -(2**31)), ("u64", 2**64 - 1), ("s64", -(2**63)), ("f32", 3883.2), ("f32", -0.0),
    ("f64", 0.1), ("f64", 1e300), ("char", "é"), ("char", "😀"), ("string", ""), ("string", "null"), ("string", "a\0b"),
    ("string", str(LINK)), ("string", "naïve 😀"), ("bytes", b""), ("bytes", bytes(range(256))), ("integers", [1, -2]),
    ("integers", []), ("texts", ["", "x"]), ("nested", [[], [[1], []]]), ("blobs", [b"", b"a", b"bc"]),
    ("pair", ["x", -1]), ("map", {}), ("map", {"b": 1, "a": 2}), ("map-of-maps", {"a": {"b": True}, "c": {}}),
    ("pairs", [[1, "a"], [1, "b"]]), ("option", None), ("option", ""), ("options", [None, 0, None]),
    ("option-list", None), ("option-list", b""), ("result", [7, None]), ("result", [None, "no"]),
    ("result-ok", [7, None]), ("result-ok", [None, 1]), ("result-error", [1, None]), ("result-error", [None, "no"]),
    ("result-empty", [1, None]), ("result-empty", [None, 1]), ("person", BORIS),
    ("person", {"first-name": "", "age": 0, "nick": "B"}), ("people", [BORIS, BORIS]), ("people", []),
    ("shape", {"circle": 1.5}), ("shape", {"none": None}), ("shape", {"both": [1, "x"]}), ("colour", "green"),
    ("rights", []), ("rights", ["read", "run"]),
]  # fmt: skip
CONVERTED = [
    ("u8", 7.0, 7), ("f64", 3, 3.0), ("f32", 1, 1.0), ("f32", 0.1, 0.1), ("string", LINK, str(LINK)),
    ("bytes", [1, 2, 255], b"\1\2\xff"), ("bytes", [], b""), ("map", [["a", 1]], {"a": 1}),
    ("person", {"firstName": "Boris", "age": 40}, BORIS), ("person", {"first_name": "Boris", "age": 40}, BORIS),
    ("rights", ["run", "read"], ["read", "run"]),
]  # fmt: skip
REFUSED = [
    ("bool", 1), ("bool", None), ("bool", "true"), ("u8", 256), ("u8", -1), ("u8", True), ("u8", 1.5), ("u8", "1"),
    ("u8", None), ("s8", 128), ("s8", -129), ("u16", 65536), ("s16", 32768), ("u32", 2**32), ("u32", -1),
    ("s32", 2**31), ("u64", 2**64), ("u64", -1), ("s64", 2**63), ("s64", -(2**63) - 1), ("f32", 1e39), ("f32", "1"),
    ("f64", True), ("f64", float("nan")), ("f64", 10**400), ("char", ""), ("char", "ab"), ("char", 65),
    ("string", None), ("string", b"x"), ("string", 1), ("string", ["x"]), ("bytes", "text"), ("bytes", [256]),
    ("bytes", [True]), ("bytes", None), ("integers", 1), ("integers", b"x"), ("integers", [1, "x"]),
    ("integers", {"a": 1}), ("pair", ["x"]), ("pair", ["x", 1, 2]), ("pair", {"x": 1}), ("map", {"a": -1}),
    ("map", [["a"]]), ("map", "a"), ("option", 1), ("options", [None, "x"]), ("result", [None, None]),
    ("result", [1, "x"]), ("result", [1]), ("result", {"ok": 1}), ("result-ok", [None, "x"]),
    ("result-empty", [2, None]),
    ("result-empty", [True, None]), ("person", {"first-name": "x"}), ("person", {**BORIS, "more": 1}),
    ("person", {**BORIS, "firstName": "x"}), ("person", ["x", 1, None]), ("person", {**BORIS, "age": None}),
    ("shape", {}), ("shape", {"circle": 1.0, "none": None}), ("shape", {"square": 1}), ("shape", {"none": 1}),
    ("shape", "none"), ("shape", {"circle": None}), ("colour", "blue"), ("colour", 0), ("colour", ["red"]),
    ("rights", ["fly"]), ("rights", ["read", "read"]), ("rights", "read"), ("rights", [1]), ("rights", 1),
]  # fmt: skip


@pytest.fixture(scope="module")
def echo() -> bytes:
    """Return a component that gives back what it gets."""
    return echoes(KINDS, TYPES)


@pytest.mark.parametrize(("kind", "value"), ROUND)
def test_a_value_comes_back_as_it_went_in(bench: Bench, echo: bytes, kind: str, value: Any):
    """Every type takes its own form and gives it back, to the byte."""
    result = bench.run(echo, kind, value, ZEROS).out["ok"][0]

    assert encode(result) == encode(value)


@pytest.mark.parametrize(("kind", "value", "result"), CONVERTED)
def test_a_value_is_converted_where_nothing_is_lost(bench: Bench, echo: bytes, kind: str, value: Any, result: Any):
    """Whole floats are integers, links are text, field names may be written in another case."""
    assert encode(bench.run(echo, kind, value, ZEROS).out["ok"][0]) == encode(result)


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_a_value_that_does_not_fit_is_refused(bench: Bench, echo: bytes, kind: str, value: Any):
    """Nothing wraps, nothing is cut, nothing is guessed; the message names the argument."""
    error = bench.run(echo, kind, value, ZEROS).out["error"]

    assert error["code"] == "wasm/argument"
    assert error["fault"] == "requestor"
    assert f"argument x of {kind}: " in error["message"]


def test_a_fault_deep_inside_has_its_place(bench: Bench, echo: bytes):
    """The message says which element and which field."""
    error = bench.run(echo, "people", [BORIS, {**BORIS, "age": 300}], ZEROS).out["error"]

    assert error["message"].endswith("[1]: age: u8 holds 0 to 255, got 300")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_number_of_arguments_counts(bench: Bench, echo: bytes, count: int):
    """Arity is checked against the component's own type, which the message shows."""
    error = bench.run(echo, "u8", *[1] * count).out["error"]

    assert error["code"] == "wasm/arity"
    assert "u8(x: u8, pad: tuple<" in error["message"]


def returning(core: str, kind: str) -> bytes:
    """Return a component whose `f` takes nothing."""
    return component(f'{MEMORY} (func (export "f") {core})', kind)


@pytest.mark.parametrize(
    ("data", "kind", "out"),
    [
        ("\\00\\05", "(result (result u8 (error string)))", {"ok": 0}),
        ("\\01", "(result (result u8 (error string)))", {"error": ""}),
        ("\\00", "(result (result (option u8)))", {"ok": None}),
    ],
)
def test_a_result_that_is_returned_is_the_outcome(bench: Bench, data: str, kind: str, out: dict[str, Any]):
    """`result<T, E>` as the whole return is `{"ok": …}` or `{"error": …}`, so that promises can select on it."""
    core = f'(result i32) i32.const 0) (data (i32.const 0) "{data[:3]}"'

    outcome = bench.run(component(f'{MEMORY} (func (export "f") {core})', kind), "f")

    assert outcome.out == out
    assert outcome.cacheable


@pytest.mark.parametrize(
    ("core", "kind", "out"),
    [
        ("(result i32) i32.const 0)", "(result (result))", {"ok": None}),
        ("(result i32) i32.const 1)", "(result (result))", {"error": None}),
        (")", "", {"ok": None}),
        ("(result i32) i32.const 5)", "(result u8)", {"ok": 5}),
        ("(result i32) i32.const 261)", "(result u8)", {"ok": 5}),
    ],
)
def test_small_results(bench: Bench, core: str, kind: str, out: dict[str, Any]):
    """No result is null; a bare value is itself."""
    assert bench.run(component(f'{MEMORY} (func (export "f") {core}', kind), "f").out == out


@pytest.mark.parametrize(
    ("core", "kind"),
    [
        ("(result f64) f64.const nan", "(result f64)"),
        ("(result f32) f32.const -inf", "(result f32)"),
        (
            "(result i32) (i32.store (i32.const 4) (i32.const 2)) (i32.store (i32.const 0) (i32.const 64)) i32.const 0",
            "(result (list (tuple string u8)))",
        ),
    ],
    ids=["nan", "infinity", "a key twice"],
)
def test_a_result_without_ipld_form_is_an_error(bench: Bench, core: str, kind: str):
    """NaN, infinities and maps with a key twice are the guest's fault, the same on every runner."""
    outcome = bench.run(returning(core, kind), "f")

    assert outcome.out["error"]["code"] == "wasm/not-representable"
    assert outcome.out["error"]["fault"] == "guest"
    assert outcome.cacheable


NAMED = f"""(component
  (core module $M {MEMORY} (func (export "f") (param i32 i32 i32 i32) (result i32)
    (i32.sub (local.get 1) (local.get 3))))
  (core instance $m (instantiate $M))
  (func (export "full-name") (param "first-name" string) (param "last-name" string) (result s32)
    (canon lift (core func $m "f") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (type $name' (record (field "first-name" string) (field "last-name" string))) (export $name "name-type" (type $name'))
  (func (export "of-record") (param "name" $name) (result s32)
    (canon lift (core func $m "f") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
)"""


@pytest.mark.parametrize(
    "params",
    [
        ["Boris", "Mann"],
        [{"first-name": "Boris"}, {"last-name": "Mann"}],
        [{"lastName": "Mann"}, {"firstName": "Boris"}],
    ],
)
def test_arguments_by_name(bench: Bench, params: list[Any]):
    """One-key maps whose keys are the parameters' names bind by name, in any order and case."""
    assert bench.run(NAMED, "fullName", *params).out == {"ok": 1}


@pytest.mark.parametrize(
    "params",
    [
        [{"first-name": "Boris", "last-name": "Mann"}],
        [{"lastName": "Mann"}, {"firstName": "Boris"}],
        [{"name": {"firstName": "Boris", "lastName": "Mann"}}],
    ],
)
def test_arguments_that_make_up_a_record(bench: Bench, params: list[Any]):
    """A function of one record takes it whole, by name, or field by field."""
    assert bench.run(NAMED, "of-record", *params).out == {"ok": 1}


@pytest.mark.parametrize("params", [[{"first-name": "B"}, {"first_name": "M"}], [{"other": "B"}, {"last-name": "M"}]])
def test_names_that_are_not_the_parameters_bind_nothing(bench: Bench, params: list[Any]):
    """A wrong or double name is no argument by name, and a map is no string."""
    assert bench.run(NAMED, "full-name", *params).out["error"]["code"] == "wasm/argument"


def test_an_image_crosses_both_ways(bench: Bench, echo: bytes):
    """A picture of 1.4 MB goes in and comes out whole; one by one, its bytes would take seconds."""
    picture = bytes(range(256)) * 5600

    assert bench.run(echo, "bytes", picture, ZEROS).out["ok"][0] == picture


def test_bytes_inside_other_types_cross_whole(bench: Bench, echo: bytes):
    """The strided copy serves lists of bytes in lists, of every length."""
    blobs = [bytes(range(size)) for size in range(200)]

    assert bench.run(echo, "blobs", blobs, ZEROS).out["ok"][0] == blobs
