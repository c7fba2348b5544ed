/* full-name: two names, one space between them. A component. */
#include "component.h"

EXPORT("full-name")
slice *full_name(const char *first, uint32_t first_length, const char *last, uint32_t last_length) {
    uint32_t length = first_length + 1 + last_length;
    char *name = take(length, 1);

    __builtin_memcpy(name, first, first_length);
    name[first_length] = ' ';
    __builtin_memcpy(name + first_length + 1, last, last_length);
    return return_slice(name, length);
}
