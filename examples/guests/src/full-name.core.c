/* fullName: the same function as a core module with the bytes ABI; returns a list of one value. */
#include "cbor.h"

EXPORT("fullName")
uint64_t full_name(const uint8_t *args, uint32_t length) {
    reader in = {args, args + length};
    text first, last;

    if (head(&in, LIST) != 2) {
        __builtin_trap();
    }
    enter_argument(&in);
    first = read_text(&in);
    enter_argument(&in);
    last = read_text(&in);

    uint32_t joined = first.length + 1 + last.length;
    uint8_t *start = take(joined + 6, 1), *out = start;

    out = write_head(out, LIST, 1);
    out = write_head(out, TEXT, joined);
    out = write_bytes(out, first.data, first.length);
    *out++ = ' ';
    out = write_bytes(out, last.data, last.length);
    return span(start, out);
}
