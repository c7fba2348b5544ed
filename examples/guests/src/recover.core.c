/* finish, divert, reword: the three answers that a job-wide `catch` may give. A core module with the bytes ABI.
 *
 * Each is called with one argument, the Failure: a map of `label`, `task`, `receipt` and `error`.
 */
#include "cbor.h"

#define TEXT_OF(literal) ((text){(const uint8_t *)(literal), sizeof(literal) - 1})

static int equal(text left, text right) {
    uint32_t same = 0;

    while (left.length == right.length && same < left.length && left.data[same] == right.data[same]) {
        same++;
    }
    return left.length == right.length && same == left.length;
}

/* The label of the job that failed. */
static text failed_label(const uint8_t *args, uint32_t length) {
    reader in = {args, args + length};

    if (head(&in, LIST) != 1) {
        __builtin_trap();
    }
    for (uint64_t fields = head(&in, MAP); fields > 0; fields--) {
        if (equal(read_text(&in), TEXT_OF("label"))) {
            return read_text(&in);
        }
        skip_value(&in);
    }
    __builtin_trap();
}

/* A map of one key and a text made of three parts. */
static uint64_t answer(text key, text before, text label, text after) {
    uint32_t length = before.length + label.length + after.length;
    uint8_t *start = take(key.length + length + 11, 1), *out = start;

    out = write_head(out, MAP, 1);
    out = write_head(out, TEXT, key.length);
    out = write_bytes(out, key.data, key.length);
    out = write_head(out, TEXT, length);
    out = write_bytes(out, before.data, before.length);
    out = write_bytes(out, label.data, label.length);
    out = write_bytes(out, after.data, after.length);
    return span(start, out);
}

/* End well: the run's result is a text. */
EXPORT("finish")
uint64_t finish(const uint8_t *args, uint32_t length) {
    return answer(TEXT_OF("ok"), TEXT_OF("went on without "), failed_label(args, length), TEXT_OF(""));
}

/* End with the result of another job, the one called like the failed one with `-spare` behind. */
EXPORT("divert")
uint64_t divert(const uint8_t *args, uint32_t length) {
    return answer(TEXT_OF("rewire"), TEXT_OF(""), failed_label(args, length), TEXT_OF("-spare"));
}

/* End badly, in other words. */
EXPORT("reword")
uint64_t reword(const uint8_t *args, uint32_t length) {
    return answer(TEXT_OF("msg"), TEXT_OF("there is no "), failed_label(args, length), TEXT_OF(" today"));
}
