/* count-primes and sum: the map and the reduce of a map-reduce. A component. */
#include "component.h"

static int is_prime(uint64_t n) {
    if (n % 2 == 0 || n % 3 == 0) {
        return n == 2 || n == 3;
    }
    for (uint64_t d = 5; d <= n / d; d += 6) {
        if (n % d == 0 || n % (d + 2) == 0) {
            return 0;
        }
    }
    return n > 1;
}

EXPORT("count-primes")
uint64_t count_primes(uint64_t start, uint64_t end) {
    uint64_t count = 0;

    for (uint64_t n = start; n < end; n++) {
        count += is_prime(n);
    }
    return count;
}

EXPORT("sum")
uint64_t sum(const uint64_t *parts, uint32_t length) {
    uint64_t total = 0;

    for (uint32_t i = 0; i < length; i++) {
        total += parts[i];
    }
    return total;
}
