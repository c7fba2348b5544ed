/* count: how many characters a name has. A component. */
#include "component.h"
#include "utf8.h"

EXPORT("count")
uint32_t count(const uint8_t *name, uint32_t length) {
    return code_points(name, length);
}
