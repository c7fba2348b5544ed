"""Content addressing: links, strict DAG-CBOR, DAG-JSON, blocks and CAR files, with limits on size, depth and number."""

from ipvm_queue.ipld.block import Block
from ipvm_queue.ipld.car import Car, CarLimits, car_parts, read_car, write_car
from ipvm_queue.ipld.dagcbor import (
    CODEC,
    MAX_BYTES,
    cid_of,
    decode,
    decode_own,
    decode_plain,
    encode,
    encode_own,
    explain,
)
from ipvm_queue.ipld.dagjson import from_json, from_plain, to_json, to_plain
from ipvm_queue.ipld.items import MAX_ITEMS, count_items
from ipvm_queue.ipld.link import DAG_CBOR, DAG_PB, RAW, Link
from ipvm_queue.ipld.protobuf import protobuf_fields, read_protobuf
from ipvm_queue.ipld.value import MAX_DEPTH, Value, check, check_depth

__all__ = [
    "CODEC",
    "DAG_CBOR",
    "DAG_PB",
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_ITEMS",
    "RAW",
    "Block",
    "Car",
    "CarLimits",
    "Link",
    "Value",
    "car_parts",
    "check",
    "check_depth",
    "cid_of",
    "count_items",
    "decode",
    "decode_own",
    "decode_plain",
    "encode",
    "encode_own",
    "explain",
    "from_json",
    "from_plain",
    "protobuf_fields",
    "read_car",
    "read_protobuf",
    "to_json",
    "to_plain",
    "write_car",
]
