"""The Wasm that every contender runs, and the plain way in which the baselines run it.

`SCALARS` exports `sum1` .. `sum5`: that many i64 in, their sum modulo 2^48 out. `TOTAL` exports `total`: DAG-CBOR
`[[int, ...]]` in its memory in, the sum modulo 2^48 as DAG-CBOR out (the bytes ABI of the product's core modules).
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

import cbor2
import wasmtime

MASK: Final = (1 << 48) - 1
MAX_ARITY: Final = 5
GAS: Final = 10_000_000
MEMORY: Final = 64 * 1024 * 1024


def _scalars() -> str:
    """Write a module with one exported adder an arity."""
    functions = []
    for arity in range(1, MAX_ARITY + 1):
        adds = "".join(f" local.get {index} i64.add" for index in range(1, arity))
        params = " i64" * arity
        functions.append(
            f'(func (export "sum{arity}") (param{params}) (result i64) local.get 0{adds} i64.const {MASK} i64.and)'
        )
    return f"(module {' '.join(functions)})"


TOTAL_WAT: Final = f"""(module
  (memory (export "memory") 1)
  (global $at (mut i32) (i32.const 0))
  (global $free (mut i32) (i32.const 1024))

  ;; a bump allocator: an instance lives for one call
  (func (export "ipvm_alloc") (param $size i32) (result i32)
    (local $start i32) (local $short i32)
    (local.set $start (global.get $free))
    (global.set $free (i32.add (global.get $free) (local.get $size)))
    (local.set $short (i32.sub (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
    (if (i32.gt_s (local.get $short) (i32.const 0))
      (then (drop (memory.grow (i32.add (i32.const 1) (i32.div_u (local.get $short) (i32.const 65536)))))))
    (local.get $start))

  (func $byte (result i64)
    (i64.load8_u (global.get $at))
    (global.set $at (i32.add (global.get $at) (i32.const 1))))

  ;; the argument of the CBOR head at $at; a negative integer -1-n answers like n's complement
  (func $head (result i64)
    (local $first i64) (local $value i64) (local $left i32)
    (local.set $first (call $byte))
    (local.set $value (i64.and (local.get $first) (i64.const 31)))
    (if (i64.ge_u (local.get $value) (i64.const 24))
      (then
        (local.set $left (i32.shl (i32.const 1) (i32.wrap_i64 (i64.sub (local.get $value) (i64.const 24)))))
        (local.set $value (i64.const 0))
        (loop $more
          (local.set $value (i64.or (i64.shl (local.get $value) (i64.const 8)) (call $byte)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br_if $more (local.get $left)))))
    (if (result i64) (i64.eq (i64.shr_u (local.get $first) (i64.const 5)) (i64.const 1))
      (then (i64.xor (local.get $value) (i64.const -1)))
      (else (local.get $value))))

  (func $put (param $width i32) (param $value i64)
    (loop $more
      (local.set $width (i32.sub (local.get $width) (i32.const 1)))
      (i64.store8 (global.get $at)
        (i64.shr_u (local.get $value) (i64.extend_i32_u (i32.shl (local.get $width) (i32.const 3)))))
      (global.set $at (i32.add (global.get $at) (i32.const 1)))
      (br_if $more (local.get $width))))

  (func (export "total") (param $pointer i32) (param $length i32) (result i64)
    (local $count i64) (local $sum i64)
    (global.set $at (local.get $pointer))
    (drop (call $head))
    (local.set $count (call $head))
    (block $done
      (loop $more
        (br_if $done (i64.eqz (local.get $count)))
        (local.set $sum (i64.add (local.get $sum) (call $head)))
        (local.set $count (i64.sub (local.get $count) (i64.const 1)))
        (br $more)))
    (local.set $sum (i64.and (local.get $sum) (i64.const {MASK})))
    (global.set $at (i32.const 0))
    (if (i64.lt_u (local.get $sum) (i64.const 24))
      (then (call $put (i32.const 1) (local.get $sum)))
      (else (if (i64.lt_u (local.get $sum) (i64.const 0x100))
        (then (call $put (i32.const 1) (i64.const 24)) (call $put (i32.const 1) (local.get $sum)))
        (else (if (i64.lt_u (local.get $sum) (i64.const 0x10000))
          (then (call $put (i32.const 1) (i64.const 25)) (call $put (i32.const 2) (local.get $sum)))
          (else (if (i64.lt_u (local.get $sum) (i64.const 0x100000000))
            (then (call $put (i32.const 1) (i64.const 26)) (call $put (i32.const 4) (local.get $sum)))
            (else (call $put (i32.const 1) (i64.const 27)) (call $put (i32.const 8) (local.get $sum))))))))))
    (i64.extend_i32_u (global.get $at))))
"""

SCALARS: Final = bytes(wasmtime.wat2wasm(_scalars()))
TOTAL: Final = bytes(wasmtime.wat2wasm(TOTAL_WAT))


def expected(arguments: list) -> int:
    """Work out in plain Python what the guests answer."""
    return sum(arguments[0] if isinstance(arguments[0], list) else arguments) & MASK


@cache
def _engine() -> wasmtime.Engine:
    """One engine a process, metered and made deterministic as the product's is."""
    config = wasmtime.Config()
    config.parallel_compilation = False
    config.consume_fuel = True
    config.epoch_interruption = True
    config.cranelift_nan_canonicalization = True
    config.wasm_relaxed_simd_deterministic = True
    config.wasm_threads = False
    config.wasm_gc = False
    config.wasm_function_references = False
    config.wasm_exceptions = False
    config.memory_init_cow = False
    config.max_wasm_stack = 512 * 1024
    return wasmtime.Engine(config)


@cache
def _module(wasm: bytes) -> wasmtime.Module:
    return wasmtime.Module(_engine(), wasm)


def call(function: str, arguments: list) -> int:
    """Run one function in a fresh store and instance, with gas, limits and deadline set; no receipt, no checks."""
    store = wasmtime.Store(_engine())
    store.set_fuel(GAS)
    store.set_epoch_deadline(1_000_000)
    store.set_limits(memory_size=MEMORY, table_elements=10_000, instances=1, tables=4, memories=1)
    module = _module(TOTAL if function == "total" else SCALARS)
    exports = wasmtime.Instance(store, module, []).exports(store)
    if function != "total":
        return exports[function](store, *arguments)
    message = cbor2.dumps(arguments)
    pointer = exports["ipvm_alloc"](store, len(message))
    memory = exports["memory"]
    ctypes.memmove(ctypes.addressof(memory.data_ptr(store).contents) + pointer, message, len(message))
    packed = exports["total"](store, pointer, len(message))
    start, length = packed >> 32, packed & 0xFFFFFFFF
    return cbor2.loads(memory.read(store, start, start + length))
