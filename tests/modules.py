"""Guests for tests, written out in WAT."""

from __future__ import annotations

from functools import cache
from itertools import count
from time import time_ns

import wasmtime

# Numbers by position.
NUMBERS = """(module
  (func (export "add") (param i64 i64) (result i64) (i64.add (local.get 0) (local.get 1)))
  (func (export "pair") (param i64 i64) (result i64 i64) (local.get 0) (local.get 1))
  (func (export "trap") (param i64) (result i64) unreachable)
  (func (export "spin") (param i64) (result i64) (loop $again (br $again)) (local.get 0))
  (func (export "slow") (param $loops i64) (param $result i64) (result i64)
    (loop $again
      (local.set $loops (i64.sub (local.get $loops) (i64.const 1)))
      (br_if $again (i64.gt_s (local.get $loops) (i64.const 0))))
    (local.get $result)))"""

# DAG-CBOR in memory. `echo` returns its list of arguments, `first` the one argument that it has, `refuse` traps.
VALUES = """(module
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 64))
  (func (export "ipvm_alloc") (param $size i32) (result i32)
    (local $start i32)
    (local.set $start (global.get $next))
    (global.set $next (i32.add (local.get $start) (local.get $size)))
    (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
      (then (drop (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1))))))
    (local.get $start))
  (func $span (param $address i32) (param $length i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $address)) (i64.const 32)) (i64.extend_i32_u (local.get $length))))
  (func (export "echo") (param i32 i32) (result i64) (call $span (local.get 0) (local.get 1)))
  (func (export "first") (param i32 i32) (result i64)
    (call $span (i32.add (local.get 0) (i32.const 1)) (i32.sub (local.get 1) (i32.const 1))))
  (func (export "refuse") (param i32 i32) (result i64) unreachable))"""

# What makes secrets of what anybody may read. Its one argument is bytes; `uncover` returns them as text, each byte
# changed by COVER; `shout` does the same, says it to standard error and traps.
SECRETS = VALUES.replace(
    "(module\n",
    """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
""",
).replace(
    """  (func (export "refuse")""",
    """  (func $head (param $at i32) (result i32) (local $kind i32)
    (local.set $kind (i32.load8_u (local.get $at)))
    (if (result i32) (i32.ge_u (local.get $kind) (i32.const 0x58))
      (then (i32.add (i32.const 1) (i32.shl (i32.const 1) (i32.sub (local.get $kind) (i32.const 0x58)))))
      (else (i32.const 1))))
  (func $uncover (export "uncover") (param $address i32) (param $length i32) (result i64)
    (local $at i32) (local $end i32)
    (local.set $at (i32.add (local.get $address) (i32.const 1)))
    (local.set $end (i32.add (local.get $address) (local.get $length)))
    (local.set $at (i32.add (local.get $at) (call $head (local.get $at))))
    (i32.store8 offset=1 (local.get $address) (i32.add (i32.load8_u offset=1 (local.get $address)) (i32.const 0x20)))
    (loop $again
      (i32.store8 (local.get $at) (i32.xor (i32.load8_u (local.get $at)) (i32.const 0x15)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $at) (local.get $end))))
    (call $span (i32.add (local.get $address) (i32.const 1)) (i32.sub (local.get $length) (i32.const 1))))
  (func (export "shout") (param $address i32) (param $length i32) (result i64)
    (drop (call $uncover (local.get $address) (local.get $length)))
    (i32.store (i32.const 0) (local.get $address))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
    unreachable)
  (func (export "refuse")""",
)
COVER = 0x15

_salt = count(time_ns() % 10**15, 10**7)  # far apart, so that sums of small numbers do not meet


@cache
def numbers() -> bytes:
    """Return the module of numbers."""
    return bytes(wasmtime.wat2wasm(NUMBERS))


@cache
def values() -> bytes:
    """Return the module of values."""
    return bytes(wasmtime.wat2wasm(VALUES))


@cache
def secrets() -> bytes:
    """Return the module that makes secrets."""
    return bytes(wasmtime.wat2wasm(SECRETS))


def cover(text: str) -> bytes:
    """Return what `uncover` makes this text of."""
    return bytes(byte ^ COVER for byte in text.encode())


def salt() -> int:
    """Return a number that no task has had before, so that there is work to do."""
    return next(_salt)
