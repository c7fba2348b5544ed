/* The bytes ABI: DAG-CBOR of the list of arguments in, DAG-CBOR of the result out.
 *
 * A reader that trusts the host for canonical form but never for length (it traps instead of reading past the end), and
 * a writer of heads and text.
 */
#pragma once

#include "memory.h"

enum { UNSIGNED = 0, BYTES = 2, TEXT = 3, LIST = 4, MAP = 5, TAG = 6 };

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

/* Reads the number of one head, a value, a length or a count, whatever its major type. */
static inline uint64_t number(reader *in) {
    uint8_t low = *skip(in, 1) & 31;
    uint64_t result = low;

    if (low > 27) {
        __builtin_trap();
    }
    if (low >= 24) {
        uint32_t width = 1u << (low - 24);
        const uint8_t *big_endian = skip(in, width);

        result = 0;
        for (uint32_t i = 0; i < width; i++) {
            result = result << 8 | big_endian[i];
        }
    }
    return result;
}

static inline uint8_t next_major(reader *in) {
    if (in->at == in->end) {
        __builtin_trap();
    }
    return *in->at >> 5;
}

/* Reads one head, which must be of that type, and returns its number. */
static inline uint64_t head(reader *in, uint8_t major) {
    if (next_major(in) != major) {
        __builtin_trap();
    }
    return number(in);
}

/* Steps over one value, whatever it holds. */
static inline void skip_value(reader *in) {
    for (uint64_t left = 1; left > 0; left--) {
        uint8_t major = next_major(in);
        uint64_t size = number(in);

        if (major == BYTES || major == TEXT) {
            skip(in, size);
        } else if (major == LIST || major == TAG) {
            left += major == TAG ? 1 : size;
        } else if (major == MAP) {
            left += 2 * size;
        }
    }
}

static inline text read_text(reader *in) {
    uint64_t length = head(in, TEXT);

    return (text){skip(in, length), (uint32_t)length};
}

/* An argument stands in the list as itself or as a one-key map that names it: either way, step up to its value. */
static inline void enter_argument(reader *in) {
    if (next_major(in) == MAP) {
        if (head(in, MAP) != 1) {
            __builtin_trap();
        }
        read_text(in);
    }
}

static inline uint8_t *write_head(uint8_t *out, uint8_t major, uint32_t value) {
    uint32_t width = value < 24 ? 0 : value < 256 ? 1 : value < 65536 ? 2 : 4;

    *out++ = (uint8_t)(major << 5 | (width == 0 ? value : width == 1 ? 24 : width == 2 ? 25 : 26));
    while (width-- > 0) {
        *out++ = (uint8_t)(value >> (8 * width));
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
