/* The bytes ABI: DAG-CBOR of the list of arguments in, DAG-CBOR of the result out.
 *
 * A reader that trusts the host for canonical form but never for length (it traps instead of reading past the end), and
 * a writer of integers, text and list heads.
 */
#pragma once

#include "memory.h"

enum { UNSIGNED = 0, BYTES = 2, TEXT = 3, LIST = 4, MAP = 5 };

typedef struct {
    const uint8_t *at, *end;
} reader;

typedef struct {
    const uint8_t *data;
    uint32_t length;
} text;

EXPORT("ipvm_alloc")
void *ipvm_alloc(uint32_t size) {
    return take(size, 8);
}

static inline const uint8_t *skip(reader *in, uint64_t count) {
    const uint8_t *here = in->at;

    if (count > (uint64_t)(in->end - here)) {
        __builtin_trap();
    }
    in->at += count;
    return here;
}

/* Reads one head, which must be of `major` type, and returns its number: a value, a length or a count. */
static inline uint64_t head(reader *in, uint8_t major) {
    uint8_t first = *skip(in, 1), low = first & 31;
    uint64_t number = low;

    if (first >> 5 != major || low > 27) {
        __builtin_trap();
    }
    if (low >= 24) {
        uint32_t width = 1u << (low - 24);
        const uint8_t *big_endian = skip(in, width);

        number = 0;
        for (uint32_t i = 0; i < width; i++) {
            number = number << 8 | big_endian[i];
        }
    }
    return number;
}

static inline text read_text(reader *in) {
    uint64_t length = head(in, TEXT);

    return (text){skip(in, length), (uint32_t)length};
}

/* An argument stands in the list as itself or as a one-key map that names it: either way, step up to its value. */
static inline void enter_argument(reader *in) {
    if (in->at < in->end && *in->at >> 5 == MAP) {
        if (head(in, MAP) != 1) {
            __builtin_trap();
        }
        read_text(in);
    }
}

static inline uint8_t *write_head(uint8_t *out, uint8_t major, uint32_t number) {
    uint32_t width = number < 24 ? 0 : number < 256 ? 1 : number < 65536 ? 2 : 4;

    *out++ = (uint8_t)(major << 5 | (width == 0 ? number : width == 1 ? 24 : width == 2 ? 25 : 26));
    while (width-- > 0) {
        *out++ = (uint8_t)(number >> (8 * width));
    }
    return out;
}

static inline uint8_t *write_bytes(uint8_t *out, const void *data, uint32_t length) {
    __builtin_memcpy(out, data, length);
    return out + length;
}

static inline uint64_t span(const uint8_t *start, const uint8_t *end) {
    return (uint64_t)(uintptr_t)start << 32 | (uint32_t)(end - start);
}
