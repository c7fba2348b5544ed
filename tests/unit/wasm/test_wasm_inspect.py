"""`inspect`: what a module is and exports, without an engine."""

from __future__ import annotations

import subprocess
import sys

import pytest
from wasm_guests import BYTES_ABI, MEMORY, component, echoes, wat

from ipvm_queue.errors import ModuleError
from ipvm_queue.wasm import PENDING, inspect
from ipvm_queue.wasm.module import MAX_MODULE_BYTES

MATHS = wat("""(module
  (import "env" "log" (func (param i32 f64)))
  (import "env" "memory" (memory 1 4))
  (import "env" "base" (global i32))
  (import "env" "table" (table 1 funcref))
  (func (export "add") (param i32 i64) (result f32 f64) f32.const 1 f64.const 1)
  (func (export "fullName"))
  (func (export "full_name"))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
  (global (export "answer") i32 (i32.const 42))
)""")
ONE = wat(
    '(module (memory (export "memory") 1) (func (export "run-it") (result i32) i32.const 1) (func (export "_start")))'
)
BYTES = wat(f'(module {BYTES_ABI} (func (export "f") (param i32 i32) (result i64) i64.const 0))')
INTERFACE = wat("""(component
  (core module $M (func (export "f")))
  (core instance $m (instantiate $M))
  (func $f (canon lift (core func $m "f")))
  (instance $i (export "go" (func $f)))
  (export "demo:pkg/api@1.0.0" (instance $i))
  (export "top" (func $f))
  (import "demo:pkg/host" (instance (export "x" (func))))
)""")


def test_a_core_modules_signatures_are_read():
    """Every exported function has its name, parameters and results; other exports are no functions."""
    info = inspect(MATHS)

    assert info.kind == "core"
    assert {name: str(signature) for name, signature in info.functions.items()} == {
        "add": "(i32, i64) -> (f32, f64)",
        "fullName": "() -> ()",
        "full_name": "() -> ()",
        "cabi_realloc": "(i32, i32, i32, i32) -> (i32)",
    }
    assert [(item.name, item.kind) for item in info.imports] == [
        ("log", "function"),
        ("memory", "memory"),
        ("base", "global"),
        ("table", "table"),
    ]


def test_a_components_exports_are_read():
    """A component's functions and interfaces are known by name."""
    info = inspect(INTERFACE)

    assert info.kind == "component"
    assert list(info.functions) == ["top"]
    assert info.interfaces == ("demo:pkg/api@1.0.0",)
    assert [item.name for item in info.imports] == ["demo:pkg/host"]


def test_an_export_is_found_exactly_then_in_kebab_case():
    """`add` is `add`; `ADD` is none of them; two that are equal in kebab-case need their exact names."""
    info = inspect(MATHS)

    assert info.find("add") == "add"
    assert info.find("fullName") == "fullName"
    assert inspect(ONE).find("runIt") == "run-it"
    assert inspect(ONE).find("run_it") == "run-it"
    with pytest.raises(ModuleError, match="may be any of the exports fullName, full_name"):
        info.find("full-name")


def test_an_absent_export_names_those_that_are_there():
    """The error lists what could be called, and leaves out what serves the runtime."""
    with pytest.raises(ModuleError, match="it exports add, fullName, full_name") as raised:
        inspect(MATHS).find("multiply")

    assert "cabi_realloc" not in raised.value.message
    assert raised.value.exit_code == 2


def test_an_interfaces_function_has_a_compound_name():
    """`interface#function` is accepted where the interface is exported."""
    assert inspect(INTERFACE).find("demo:pkg/api@1.0.0#go") == "demo:pkg/api@1.0.0#go"
    with pytest.raises(ModuleError):
        inspect(INTERFACE).find("demo:pkg/other#go")


@pytest.mark.parametrize("label", ["run-it", "runIt", "run_it", "anything"])
def test_the_default_is_the_labels_export_or_the_only_one(label: str):
    """A job without `func` calls the export named like it, else the only one there is for users."""
    assert inspect(ONE).choose(label) == "run-it"


def test_no_default_where_there_are_several():
    """With several exports and none like the label, the job must say which."""
    with pytest.raises(ModuleError, match="names no function") as raised:
        inspect(MATHS).choose("whatever")

    assert raised.value.hint


def test_the_default_in_the_bytes_abi_is_not_the_allocator():
    """`ipvm_alloc` is the runtime's, so the other function is the only one."""
    assert inspect(BYTES).choose("label") == "f"
    assert inspect(BYTES).uses_bytes("f")


@pytest.mark.parametrize(
    ("func", "args"),
    [("add", [1]), ("add", [1, 2, 3]), ("add", ["x", 2]), ("add", [2**32, 2]), ("add", [True, 2]), ("add", [PENDING])],
)
def test_a_call_that_cannot_fit_is_found_before_it_runs(func: str, args: list[object]):
    """Arity and types are checked as far as a core signature tells."""
    with pytest.raises(ModuleError, match=r"add"):
        inspect(MATHS).check_call(func, args)


def test_a_promise_fits_anything():
    """What is still to come is not judged; the rest is."""
    inspect(MATHS).check_call("add", [PENDING, 2])
    inspect(MATHS).check_call("add", [1, PENDING])
    inspect(BYTES).check_call("f", ["anything", {"at": "all"}])
    inspect(component(f'{MEMORY} (func (export "f"))')).check_call("f", [1, 2, 3])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not Wasm"),
        (b"(module)", "text format"),
        (b"\x7fELF" + bytes(60), "not Wasm"),
        (b"\0asm\x02\0\0\0", "version"),
        (b"\0asm\x01\0\0\0\x01", "cut short"),
        (b"\0asm\x01\0\0\0\x01\xff\xff\xff\xff\x0f", "cut short"),
        (b"\0asm\x01\0\0\0\x01\xff\xff\xff\xff\x7f", "too long"),
        (b"\0asm\x01\0\0\0\x01\x05\xff\xff\xff\xff\x0f", "at most"),
        (b"\0asm\x01\0\0\0\x01\x02\xff\x01", "claims 255"),
        (b"\0asm\x01\0\0\0\x03\x02\x01\x07", "does not have"),
        (b"\0asm\x01\0\0\0\x07\x05\x01\x01a\x00\x09", "does not have"),
        (b"\0asm\x01\0\0\0\x07\x05\x01\x01\xff\x00\x00", "UTF-8"),
        (b"\0asm\x01\0\0\0\x07\x05\x01\x01a\x09\x00", "unknown kind"),
        (b"\0asm\x01\0\0\0" + b"\0\1\0" * 20_000, "sections"),
        (b"\0asm\x0d\0\1\0\x0b\x05\x01\x00\x01a\x3f", "unknown sort"),
    ],
)
def test_bytes_that_are_no_module_are_refused(data: bytes, words: str):
    """What is malformed says so, in a step count that the bytes themselves bound."""
    with pytest.raises(ModuleError) as raised:
        inspect(data)

    assert words in f"{raised.value.message} {raised.value.hint}"


@pytest.mark.parametrize("version", [b"\x01\0\0\0", b"\x0d\0\1\0"], ids=["module", "component"])
def test_items_are_counted_over_all_sections(version: bytes):
    """The same section again and again is refused at the item that is too many, not after the last."""
    one = b"\x60\0\0" if version[0] == 1 else b"\0\1a\1\0"  # a type; the import of a function
    vector = b"\xe0\xd4\x03" + one * 60_000
    length = len(vector)
    leb = bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14])
    section = (b"\x01" if version[0] == 1 else b"\x0a") + leb + vector

    inspect(b"\0asm" + version + section)
    with pytest.raises(ModuleError, match="too many"):
        inspect(b"\0asm" + version + section * 2)


def test_a_module_has_a_largest_size():
    """Too many bytes are refused before they are looked at."""
    with pytest.raises(ModuleError, match="at most"):
        inspect(bytes(MAX_MODULE_BYTES + 1))


@pytest.mark.parametrize("kind", ["v128", "externref", "funcref"])
@pytest.mark.parametrize("shape", ['(func (export "f") (param {}))', '(import "a" "b" (func (param {})))'])
def test_only_numbers_may_cross(kind: str, shape: str):
    """A vector or reference in an exported or imported signature is refused: the engine would die of it."""
    with pytest.raises(ModuleError, match="only i32, i64, f32 and f64"):
        inspect(wat(f"(module {shape.format(kind)})"))


def test_vectors_inside_are_nobodys_business():
    """A function that is not exported may have any signature."""
    assert not inspect(wat("(module (func (param v128 externref)))")).functions


def test_truncation_anywhere_is_an_error_or_a_shorter_module():
    """Whatever prefix of a module comes, the reader ends, with an answer or a `ModuleError`."""
    for data in (MATHS, INTERFACE, echoes({"text": "string"})):
        for size in range(8, len(data)):
            try:
                inspect(data[:size])
            except ModuleError:
                continue


def test_looking_at_a_module_does_not_load_the_engine():
    """A submitter inspects modules without paying for wasmtime."""
    code = "import sys, ipvm_queue.wasm as w; w.inspect(b'\\0asm\\1\\0\\0\\0'); sys.exit('wasmtime' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_types_and_resources_among_a_components_names_are_stepped_over():
    """Imported and exported types do not hide the functions that come after them."""
    info = inspect(
        wat("""(component
          (import "a-resource" (type (sub resource)))
          (import "a-function" (func (param "x" u8)))
          (core module $M (func (export "f")))
          (core instance $m (instantiate $M))
          (type $t (record (field "x" u8)))
          (export "a-type" (type $t))
          (export "a-module" (core module $M))
          (func (export "f") (canon lift (core func $m "f"))))""")
    )

    assert [(item.name, item.kind) for item in info.imports] == [("a-resource", "type"), ("a-function", "function")]
    assert list(info.functions) == ["f"]
