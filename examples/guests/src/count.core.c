/* count: the same function as a core module with the bytes ABI. */
#include "cbor.h"
#include "utf8.h"

EXPORT("count")
uint64_t count(const uint8_t *args, uint32_t length) {
    reader in = {args, args + length};

    if (head(&in, LIST) != 1) {
        __builtin_trap();
    }
    enter_argument(&in);

    text name = read_text(&in);
    uint8_t *start = take(5, 1);

    return span(start, write_head(start, UNSIGNED, code_points(name.data, name.length)));
}
