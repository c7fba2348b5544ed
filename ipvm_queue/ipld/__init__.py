"""Content addressing: links, strict DAG-CBOR, DAG-JSON, blocks and CAR files, with limits on size and depth."""

from ipvm_queue.ipld.dagcbor import CODEC, cid_of, decode, encode
from ipvm_queue.ipld.link import DAG_CBOR, RAW, Link
from ipvm_queue.ipld.value import MAX_DEPTH, Value, check

__all__ = ["CODEC", "DAG_CBOR", "MAX_DEPTH", "RAW", "Link", "Value", "check", "cid_of", "decode", "encode"]
