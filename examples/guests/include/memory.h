/* Memory for one call: a bump allocator that grows the linear memory and never frees.
 *
 * Every call runs in a fresh instance, so there is nothing to give back. When the job's memory limit refuses to grow
 * any further the guest traps.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define PAGE 65536u

extern uint8_t __heap_base;
static uint8_t *next = &__heap_base;

static inline void *take(uint32_t size, uint32_t align) {
    uint64_t start = ((uint64_t)(uintptr_t)next + align - 1) / align * align;
    uint64_t end = start + size;
    uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) * PAGE;

    if (end > have && __builtin_wasm_memory_grow(0, (uint32_t)((end - have + PAGE - 1) / PAGE)) == (size_t)-1) {
        __builtin_trap();
    }
    next = (uint8_t *)(uintptr_t)end;
    return (void *)(uintptr_t)start;
}
