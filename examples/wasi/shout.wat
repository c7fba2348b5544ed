;; A WASI command (preview 1): standard input in capitals, to standard output and to the file /work/shouted.txt.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 32) "shouted.txt")

  ;; Memory: 0 and 4 are where a chunk is and how long, 8 what was moved, 16 a descriptor, 4096 on is the chunk.
  (func $check (param $errno i32)
    (if (local.get $errno) (then (call $proc_exit (local.get $errno)))))

  (func $shout (param $end i32) (local $at i32)
    (local.set $at (i32.const 4096))
    (loop $next
      (if (i32.lt_u (local.get $at) (local.get $end)) (then
        (if (i32.lt_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 97)) (i32.const 26))
          (then (i32.store8 (local.get $at) (i32.sub (i32.load8_u (local.get $at)) (i32.const 32)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))))

  (func $write (param $to i32)
    (call $check (call $fd_write (local.get $to) (i32.const 0) (i32.const 1) (i32.const 12))))

  (func (export "_start") (local $file i32)
    (call $check (call $path_open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 11) (i32.const 9)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))
    (local.set $file (i32.load (i32.const 16)))
    (loop $again
      (i32.store (i32.const 0) (i32.const 4096))
      (i32.store (i32.const 4) (i32.const 65536))
      (call $check (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.load (i32.const 8)) (then
        (call $shout (i32.add (i32.const 4096) (i32.load (i32.const 8))))
        (i32.store (i32.const 4) (i32.load (i32.const 8)))
        (call $write (i32.const 1))
        (call $write (local.get $file))
        (br $again))))))
