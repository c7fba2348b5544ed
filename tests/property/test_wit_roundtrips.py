"""Random types, random values: what a component takes it gives back, and what it does not take it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wasm_guests import BYTES_ABI, ZEROS, Bench, echoes

from ipvm_queue.ipld import Link, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
IPLD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.binary()
    | st.binary().map(Link.of),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)
RANGES = {f"{sign}{bits}": bits for sign in "us" for bits in (8, 16, 32, 64)}


@dataclass(frozen=True)
class Kind:
    """A WIT type, and values of it."""

    text: str
    values: st.SearchStrategy[Any]
    nullable: bool = False


def integers(name: str) -> Kind:
    """Return the kind of an integer type."""
    bits = RANGES[name]
    low, high = (0, 2**bits - 1) if name[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return Kind(name, st.integers(low, high))


PRIMITIVES = [
    *map(integers, RANGES),
    Kind("bool", st.booleans()),
    Kind("f64", st.floats(allow_nan=False, allow_infinity=False)),
    Kind("char", st.characters(exclude_categories=["Cs"])),
    Kind("string", TEXT),
    Kind("(list u8)", st.binary()),
]


def compounds(inner: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    """Return kinds made of others."""
    return st.one_of(
        inner.filter(lambda kind: kind.text != "u8").map(
            lambda kind: Kind(f"(list {kind.text})", st.lists(kind.values, max_size=4))
        ),
        inner.map(
            lambda kind: Kind(f"(list (tuple string {kind.text}))", st.dictionaries(TEXT, kind.values, max_size=4))
        ),
        st.lists(inner, min_size=1, max_size=4).map(
            lambda kinds: Kind(
                f"(tuple {' '.join(kind.text for kind in kinds)})",
                st.tuples(*[kind.values for kind in kinds]).map(list),
            )
        ),
        inner.filter(lambda kind: not kind.nullable).map(
            lambda kind: Kind(f"(option {kind.text})", st.none() | kind.values, nullable=True)
        ),
        st.tuples(*[inner.filter(lambda kind: not kind.nullable)] * 2).map(
            lambda pair: Kind(
                f"(result {pair[0].text} (error {pair[1].text}))",
                pair[0].values.map(lambda ok: [ok, None]) | pair[1].values.map(lambda error: [None, error]),
            )
        ),
    )


KINDS = st.recursive(st.sampled_from(PRIMITIVES), compounds, max_leaves=6)
SLOW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
FAST = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Return an executor over blocks in memory."""
    bench = Bench(tmp_path_factory.mktemp("artefacts"))
    yield bench
    bench.executor.close()


@SLOW
@given(kinds=st.lists(KINDS, min_size=4, max_size=4), data=st.data())
def test_what_a_component_takes_it_gives_back(bench: Bench, kinds: list[Kind], data: st.DataObject):
    """For any type, every value of it round-trips to the byte."""
    component = echoes({f"f{index}": kind.text for index, kind in enumerate(kinds)})
    for index, kind in enumerate(kinds):
        for value in data.draw(st.lists(kind.values, min_size=1, max_size=8), label=kind.text):
            result = bench.run(component, f"f{index}", value, ZEROS).out["ok"][0]

            assert encode(result) == encode(value)


@FAST
@given(value=IPLD)
def test_any_value_is_taken_or_refused_and_never_changed(bench: Bench, value: Any):
    """Whatever is passed for an integer, a list of bytes or a map, it comes back the same or is an error."""
    component = echoes({"u16": "u16", "bytes": "(list u8)", "map": "(list (tuple string (option s64)))"})
    for func in ("u16", "bytes", "map"):
        out = bench.run(component, func, value, ZEROS).out

        if "error" in out:
            assert out["error"]["code"] in {"wasm/argument", "wasm/not-representable"}  # a key may come twice
        elif func == "bytes":
            assert out["ok"][0] == bytes(value)
        else:
            assert out["ok"][0] == (dict(value) if isinstance(value, list) else value)


@FAST
@given(params=st.lists(IPLD, max_size=4))
def test_the_bytes_abi_carries_every_value(bench: Bench, params: list[Any]):
    """Through linear memory any IPLD value goes in and comes out, to the byte."""
    module = f"""(module {BYTES_ABI}
      (func (export "echo") (param i32 i32) (result i64) (call $pack (local.get 0) (local.get 1))))"""

    assert encode(bench.run(module, "echo", *params).out["ok"]) == encode(params)


@FAST
@given(number=st.integers(-(2**65), 2**65) | st.floats(allow_nan=True))
def test_numbers_are_exact_or_refused(bench: Bench, number: float):
    """An i64 takes signed and unsigned numbers modulo nothing: what does not fit is refused."""
    module = '(module (func (export "f") (param i64) (result i64) local.get 0))'
    out = bench.run(module, "f", number).out

    if number == number and abs(number) <= 2**65 and number == int(number) and -(2**63) <= number < 2**64:  # noqa: PLR0124
        assert out["ok"] % 2**64 == int(number) % 2**64
    else:
        assert out["error"]["code"] == "wasm/argument"
