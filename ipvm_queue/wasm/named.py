"""Arguments by name: `[{"firstName": "Boris"}, {"lastName": "Mann"}]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvm_queue.wasm.names import kebab
from ipvm_queue.wasm.wit_compound import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipvm_queue.ipld import Value
    from ipvm_queue.wasm.wit import WitType


def bind(args: list[Value], params: Sequence[tuple[str, WitType]]) -> list[Value]:
    """Return `args` by position.

    They are by name if each is a map with one key and the keys are exactly the names of the parameters, in any case
    style and order. For a function whose one parameter is a record, several maps are merged into it. Everything else
    is by position already.
    """
    if not args or not all(type(arg) is dict and len(arg) == 1 for arg in args):
        return args
    pairs = [next(iter(arg.items())) for arg in args]
    named = {kebab(key): value for key, value in pairs}
    if len(named) < len(pairs):
        return args
    names = [kebab(name) for name, _ in params]
    if sorted(named) == sorted(names):
        return [named[name] for name in names]
    if len(params) == 1 and isinstance(params[0][1], Record) and len(args) > 1:
        return [dict(pairs)]
    return args
