;; What can go wrong, one function each. A core module with the scalar ABI: numbers in, a number out.
(module
  (memory 1)

  ;; Divides, and traps when it cannot.
  (func (export "divide") (param $dividend i64) (param $divisor i64) (result i64)
    (i64.div_s (local.get $dividend) (local.get $divisor)))

  ;; Never ends by itself.
  (func (export "spin")
    (loop $again (br $again)))

  ;; Asks for that many more pages of 64 KiB, and traps if it does not get them.
  (func (export "hoard") (param $pages i32) (result i32)
    (if (i32.lt_s (memory.grow (local.get $pages)) (i32.const 0))
      (then unreachable))
    (memory.size)))
