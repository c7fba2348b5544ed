"""WASI commands for tests, written out in WAT against preview 1; and a component."""

from __future__ import annotations

from functools import cache

import wasmtime

_IMPORTS = {
    "fd_read": "i32 i32 i32 i32",
    "fd_write": "i32 i32 i32 i32",
    "args_sizes_get": "i32 i32",
    "args_get": "i32 i32",
    "environ_sizes_get": "i32 i32",
    "environ_get": "i32 i32",
    "clock_time_get": "i32 i64 i32",
    "random_get": "i32 i32",
    "path_open": "i32 i32 i32 i32 i32 i64 i64 i32 i32",
    "path_symlink": "i32 i32 i32 i32 i32",
    "path_unlink_file": "i32 i32 i32",
    "path_create_directory": "i32 i32 i32",
    "fd_close": "i32",
    "poll_oneoff": "i32 i32 i32 i32",
}
# `say` writes to a file, `open` opens a path in the directory 3 (flags: 0 read, 1 create), `fail` ends with an errno.
_COMMON = """
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 4)
  (func (export "ipvm_alloc") (param i32) (result i32) (i32.const 131072))
  (func $fail (param $errno i32) (if (local.get $errno) (then (call $proc_exit (local.get $errno)))))
  (func $say (param $fd i32) (param $at i32) (param $size i32) (result i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $size))
    (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
  (func $open (param $at i32) (param $size i32) (param $flags i32) (result i32)
    (call $fail (call $path_open (i32.const 3) (i32.const 0) (local.get $at) (local.get $size) (local.get $flags)
      (select (i64.const 66) (i64.const 2) (local.get $flags)) (i64.const 0) (i32.const 0) (i32.const 16)))
    (i32.load (i32.const 16)))
  (func $copy (param $from i32) (param $to i32)
    (loop $again
      (i32.store (i32.const 0) (i32.const 4096))
      (i32.store (i32.const 4) (i32.const 65536))
      (call $fail (call $fd_read (local.get $from) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.load (i32.const 8)) (then
        (call $fail (call $say (local.get $to) (i32.const 4096) (i32.load (i32.const 8))))
        (br $again)))))
"""
# Goes down into so many new directories in one another, of names of so many characters, and writes four files there.
_DOWN = """(local $at i32) (local $next i32) (local $left i32)
      (local.set $at (i32.const 3))
      (local.set $left (i32.const {depth}))
      (memory.fill (i32.const 300) (i32.const 97) (i32.const {length}))
      (loop $down
        (call $fail (call $path_create_directory (local.get $at) (i32.const 300) (i32.const {length})))
        (call $fail (call $path_open (local.get $at) (i32.const 0) (i32.const 300) (i32.const {length}) (i32.const 2)
          (i64.const 0x7e02) (i64.const 0x1fffffff) (i32.const 0) (i32.const 16)))
        (local.set $next (i32.load (i32.const 16)))
        (if (i32.ne (local.get $at) (i32.const 3)) (then (call $fail (call $fd_close (local.get $at)))))
        (local.set $at (local.get $next))
        (br_if $down (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (local.set $left (i32.const 4))
      (loop $files
        (i32.store8 (i32.const 130) (local.get $left))
        (call $fail (call $path_open (local.get $at) (i32.const 0) (i32.const 130) (i32.const 4) (i32.const 1)
          (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 16)))
        (call $fail (call $say (i32.load (i32.const 16)) (i32.const 4096) (i32.const 65536)))
        (br_if $files (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))"""
BODIES = {
    "cat": "(call $copy (i32.const 0) (i32.const 1))",
    "args": """(call $fail (call $args_sizes_get (i32.const 24) (i32.const 28)))
      (call $fail (call $args_get (i32.const 1024) (i32.const 4096)))
      (call $fail (call $say (i32.const 1) (i32.const 4096) (i32.load (i32.const 28))))""",
    "env": """(call $fail (call $environ_sizes_get (i32.const 24) (i32.const 28)))
      (call $fail (call $environ_get (i32.const 1024) (i32.const 4096)))
      (call $fail (call $say (i32.const 1) (i32.const 4096) (i32.load (i32.const 28))))""",
    "ask": """(local $answer i64)
      (i32.store (i32.const 0) (i32.const 4096))
      (i32.store (i32.const 4) (i32.const 65536))
      (call $fail (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $answer (call $ask (i32.const 4096) (i32.load (i32.const 8))))
      (call $fail (call $say (i32.const 1) (i32.wrap_i64 (i64.shr_u (local.get $answer) (i64.const 32)))
        (i32.wrap_i64 (local.get $answer))))""",
    "ask-on": """(local $answer i64) (local $left i32)
      (i32.store (i32.const 0) (i32.const 4096))
      (i32.store (i32.const 4) (i32.const 65536))
      (call $fail (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $left (i32.const 65))
      (loop $again
        (local.set $answer (call $ask (i32.const 4096) (i32.load (i32.const 8))))
        (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (call $fail (call $say (i32.const 1) (i32.wrap_i64 (i64.shr_u (local.get $answer) (i64.const 32)))
        (i32.wrap_i64 (local.get $answer))))""",
    "astray": "(drop (call $ask (i32.const 4096) (i32.const -1)))",
    "seven": """(call $fail (call $say (i32.const 2) (i32.const 200) (i32.const 4))) (call $proc_exit (i32.const 7))""",
    "trap": "unreachable",
    "spin": "(loop $again (br $again))",
    "flood": "(loop $again (br_if $again (i32.eqz (call $say (i32.const 1) (i32.const 4096) (i32.const 4096)))))",
    "sleep": """(i64.store (i32.const 4120) (i64.const 60000000000))
      (call $fail (call $poll_oneoff (i32.const 4096) (i32.const 8192) (i32.const 1) (i32.const 24)))""",
    "world": """(call $fail (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 4096)))
      (call $fail (call $random_get (i32.const 4104) (i32.const 16)))
      (call $fail (call $say (i32.const 1) (i32.const 4096) (i32.const 24)))""",
    "read": "(call $copy (call $open (i32.const 100) (i32.const 6) (i32.const 0)) (i32.const 1))",
    "reread": "(call $copy (call $open (i32.const 110) (i32.const 7) (i32.const 0)) (i32.const 1))",
    "write": "(call $copy (i32.const 0) (call $open (i32.const 110) (i32.const 7) (i32.const 1)))",
    "fill": """(local $fd i32) (local.set $fd (call $open (i32.const 110) (i32.const 7) (i32.const 1)))
      (loop $again (call $fail (call $say (local.get $fd) (i32.const 4096) (i32.const 65536))) (br $again))""",
    "litter": """(loop $again
        (drop (call $open (i32.const 130) (i32.const 4) (i32.const 1)))
        (i32.store (i32.const 130) (i32.add (i32.load (i32.const 130)) (i32.const 1)))
        (br $again))""",
    "hide": """(local $fd i32) (local $left i32)
      (local.set $left (i32.const 4))
      (loop $files
        (local.set $fd (call $open (i32.const 110) (i32.const 7) (i32.const 1)))
        (call $fail (call $path_unlink_file (i32.const 3) (i32.const 110) (i32.const 7)))
        (call $fail (call $say (local.get $fd) (i32.const 4096) (i32.const 65536)))
        (br_if $files (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (loop $again (br $again))""",
    "hoard": """(loop $again
        (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 110) (i32.const 7) (i32.const 1)
          (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 16)))
        (br $again))""",
    "bury": _DOWN.format(depth=20, length=250),
    "dig": _DOWN.format(depth=1500, length=1),
    "escape": "(call $copy (call $open (i32.const 140) (i32.const 16) (i32.const 0)) (i32.const 1))",
    "circle": """(call $fail (call $path_symlink (i32.const 110) (i32.const 7) (i32.const 3)
      (i32.const 110) (i32.const 7)))""",
    "link": """(call $fail (call $path_symlink (i32.const 140) (i32.const 16) (i32.const 3)
      (i32.const 110) (i32.const 7)))""",
}
_DATA = """
  (data (i32.const 100) "in.txt")
  (data (i32.const 110) "out.txt")
  (data (i32.const 130) "aaaa")
  (data (i32.const 140) "../../etc/passwd")
  (data (i32.const 200) "oops")
  (data (i32.const 4096) "")
"""
_COMPONENT = """(component
  (core module $m (func (export "run") {core}))
  (core instance $i (instantiate $m))
  (func $run {kind} (canon lift (core func $i "run")))
  (instance $run-instance (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $run-instance)))"""


@cache
def wasi(name: str) -> bytes:
    """Return the command of a name."""
    imports = "".join(
        f'  (import "wasi_snapshot_preview1" "{func}" (func ${func} (param {params}) (result i32)))\n'
        for func, params in _IMPORTS.items()
    )
    if "$ask" in BODIES[name]:
        imports += '  (import "ipvm:host/effects" "call" (func $ask (param i32 i32) (result i64)))'
    source = f'(module {imports}{_COMMON}{_DATA}  (func (export "_start") {BODIES[name]}))'
    return bytes(wasmtime.wat2wasm(source))


@cache
def component(status: int) -> bytes:
    """Return a component of preview 2 whose command succeeds (0) or fails (1)."""
    return running(f"(result i32) i32.const {status}", "(result (result))")


def running(core: str, kind: str) -> bytes:
    """Return a component whose `wasi:cli/run` has a function `run` of this type, as the core function does it."""
    return bytes(wasmtime.wat2wasm(_COMPONENT.format(core=core, kind=kind)))
