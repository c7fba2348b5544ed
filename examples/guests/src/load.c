/* load: reads a block, the one thing that a pure guest may ask of its host. A component. */
#include "component.h"

__attribute__((import_module("ipvm:host/blocks"), import_name("get")))
void get_block(const uint8_t *cid, uint32_t length, slice *block);

EXPORT("load")
slice *load(const uint8_t *cid, uint32_t length) {
    slice *block = return_slice(NULL, 0);

    get_block(cid, length, block);
    return block;
}
