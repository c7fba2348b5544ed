/* The canonical ABI by hand, as far as these guests need it: lists and strings in, strings, lists and results out.
 *
 * A list or string parameter arrives as two parameters (address, length). A function that returns more than one flat
 * value returns the address of a record that holds them.
 */
#pragma once

#include "memory.h"

typedef struct {
    const void *data;
    uint32_t length;
} slice; /* list<T> or string */

typedef struct {
    uint8_t is_error;
    slice payload;
} outcome; /* result<list<T>, string> */

/* The host calls this to make room for arguments. */
EXPORT("cabi_realloc")
void *cabi_realloc(void *old, uint32_t old_size, uint32_t align, uint32_t size) {
    void *fresh = take(size, align);

    if (old_size != 0) {
        __builtin_memcpy(fresh, old, old_size < size ? old_size : size);
    }
    return fresh;
}

static inline slice *return_slice(const void *data, uint32_t length) {
    slice *result = take(sizeof *result, _Alignof(slice));

    *result = (slice){data, length};
    return result;
}

static inline outcome *return_ok(const void *data, uint32_t length) {
    outcome *result = take(sizeof *result, _Alignof(outcome));

    *result = (outcome){0, {data, length}};
    return result;
}

static inline outcome *new_error(const char *message, uint32_t length) {
    outcome *result = take(sizeof *result, _Alignof(outcome));

    *result = (outcome){1, {message, length}};
    return result;
}

/* `message` is an array of characters, so that its length is known when compiling. */
#define return_error(message) new_error(message, sizeof(message) - 1)
