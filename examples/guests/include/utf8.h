/* Counting characters. */
#pragma once

#include <stdint.h>

/* The number of Unicode code points: bytes that do not continue another. */
static inline uint32_t code_points(const uint8_t *data, uint32_t length) {
    uint32_t count = 0;

    for (uint32_t i = 0; i < length; i++) {
        count += (data[i] & 0xc0) != 0x80;
    }
    return count;
}
