/* divide: fails with a word of its own, which the receipt carries as its error; apologise: for those who wait for that. */
#include "component.h"

typedef struct {
    uint8_t is_error;
    union {
        int64_t quotient;
        slice reason;
    };
} division; /* result<s64, string> */

EXPORT("divide")
division *divide(int64_t dividend, int64_t divisor) {
    static const char ZERO[] = "division by zero", OVERFLOW[] = "the quotient is too large";
    division *result = take(sizeof *result, _Alignof(division));

    if (divisor == 0) {
        *result = (division){.is_error = 1, .reason = {ZERO, sizeof ZERO - 1}};
    } else if (divisor == -1 && dividend == INT64_MIN) {
        *result = (division){.is_error = 1, .reason = {OVERFLOW, sizeof OVERFLOW - 1}};
    } else {
        *result = (division){.is_error = 0, .quotient = dividend / divisor};
    }
    return result;
}

EXPORT("apologise")
slice *apologise(const char *reason, uint32_t length) {
    static const char START[] = "Sorry: ";
    char *sentence = take(sizeof START - 1 + length + 1, 1);

    __builtin_memcpy(sentence, START, sizeof START - 1);
    __builtin_memcpy(sentence + sizeof START - 1, reason, length);
    sentence[sizeof START - 1 + length] = '.';
    return return_slice(sentence, sizeof START + length);
}
