"""Every effect that is known here, by (URI scheme, ability): the families of our own and those of entry points."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.contract import ANY_SCHEME, Effect, Safety
from ipvm_queue.effects.schema import faults
from ipvm_queue.errors import UsageError
from ipvm_queue.workflow import Promise

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ipvm_queue.effects.contract import Schema
    from ipvm_queue.ipld import Value
    from ipvm_queue.workflow import Task

GROUP: Final = "ipvm_queue.effects"
FAMILIES: Final = (
    "dns", "http", "mail", "keys", "secrets", "ipns", "ipfs", "drand", "handle", "wasi", "container", "further"
)  # fmt: skip
_SHOWN: Final = 5


class UnknownEffectError(UsageError):
    """Raised for a pair of URI scheme and ability that no handler here knows; the hint lists what comes near."""

    code = "effect"


def effects() -> Mapping[tuple[str, str], Effect]:
    """Return every effect by (scheme, ability), sorted. The families are imported at the first call."""
    return MappingProxyType(_rows())


def tables() -> Mapping[str, Mapping[str, Schema]]:
    """Return the tables that the `effects_config` file may have: the schema of each key, by table."""
    return MappingProxyType(
        {name: keys for family in _modules() for name, keys in getattr(family, "CONFIG", {}).items()}
    )


def scheme_of(uri: str) -> str:
    """Return the scheme of a URI in lower case, as the registry names it."""
    return uri.partition(":")[0].lower()


def find(uri: str, ability: str) -> Effect:
    """Return the effect of a URI and an ability; one for its scheme goes before one for any.

    Raises `UnknownEffectError`.
    """
    rows = _rows()
    scheme = scheme_of(uri)
    found = rows.get((scheme, ability)) or rows.get((ANY_SCHEME, ability))
    if found is None:
        raise UnknownEffectError(f"no handler here knows {ability} of {scheme}:", hint=_near(scheme, ability))
    return found


def check(uri: str | Promise, ability: str, args: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a call, as far as it is known: where a promise stands, nothing is.

    Raises `UnknownEffectError` for a pair that nobody handles, and for an ability that nobody has for any scheme.
    """
    if isinstance(uri, Promise):
        if not _with_ability(ability):
            raise UnknownEffectError(f"no handler here knows {ability}", hint=_near("", ability))
        return
    effect = find(uri, ability)
    wrong = list(faults(dict(args), effect.schema, pending=lambda value: isinstance(value, Promise)))
    yield from wrong
    if not wrong and effect.check is not None and not any(_promised(value) for value in args.values()):
        problem = effect.check(uri, args)
        if problem is not None:
            yield problem


def safety_of(task: Task) -> Safety:
    """Return how dangerous a task is to do again.

    A task whose `with` is a promise has no scheme yet: it counts as a query only if its ability is one under every
    scheme. What nobody here knows is taken for a command.
    """
    if task.kind == "wasm":
        return Safety.PURE
    if isinstance(task.resource, str):
        rows = _rows()
        found = rows.get((scheme_of(task.resource), task.ability)) or rows.get((ANY_SCHEME, task.ability))
        return Safety.COMMAND if found is None else found.safety
    classes = {effect.safety for effect in _with_ability(task.ability)}
    return Safety.QUERY if classes == {Safety.QUERY} else Safety.COMMAND


def uses(command: str, args: Value) -> list[tuple[str, dict[str, Value]]]:
    """Return what a task asks for beside itself, as commands with their args; nothing for what nobody here knows.

    `args` are a Task's, with their `uri`; where promises stand in them, only what is known is returned.
    """
    if not isinstance(args, dict) or "uri" not in args:  # Wasm, and what is the queue's own
        return []
    known = {effect.uses for effect in _with_ability(command.removeprefix("/")) if effect.uses is not None}
    return [use for each in known for use in each(args)]


def is_private(task: Task) -> bool:
    """Whether the result of a task is secret unless its job says otherwise.

    A task whose `with` is a promise has no scheme yet: it is private if its ability is under any scheme. What nobody
    here knows is taken for private.
    """
    if task.kind == "wasm":
        return False
    if isinstance(task.resource, str):
        rows = _rows()
        found = rows.get((scheme_of(task.resource), task.ability)) or rows.get((ANY_SCHEME, task.ability))
        return found is None or found.private
    known = _with_ability(task.ability)
    return not known or any(effect.private for effect in known)


def _promised(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_promised(item) for item in value.values())
    if isinstance(value, list):
        return any(_promised(item) for item in value)
    return isinstance(value, Promise)


def _with_ability(ability: str) -> list[Effect]:
    return [effect for (_, known), effect in _rows().items() if known == ability]


def _near(scheme: str, ability: str) -> str:
    known = [f"{row.ability} of {row.scheme}:" for row in _rows().values()]
    same = [text for text, row in zip(known, _rows().values(), strict=True) if scheme == row.scheme]
    same += [text for text, row in zip(known, _rows().values(), strict=True) if ability == row.ability]
    near = list(dict.fromkeys([*same, *get_close_matches(f"{ability} of {scheme}:", known, n=_SHOWN, cutoff=0.5)]))
    if not near:
        return "ipvm effect kinds lists those that are known"
    return f"known are {', '.join(near[:_SHOWN])}; ipvm effect kinds lists all"


@cache
def _rows() -> dict[tuple[str, str], Effect]:
    rows: dict[tuple[str, str], Effect] = {}
    for family in _modules():
        for effect in getattr(family, "EFFECTS", None) or _given(family):
            pair = (effect.scheme, effect.ability)
            if pair in rows:
                raise UsageError(f"two handlers are there for {effect.ability} of {effect.scheme}:")
            rows[pair] = effect
    return dict(sorted(rows.items()))


def built_in() -> list[ModuleType]:
    """Return the modules of our own families, imported now if they were not."""
    return [import_module(f"{__package__}.{name}") for name in FAMILIES]


@cache
def _modules() -> list[Any]:
    """Return the families: modules with `EFFECTS`, and what other entry points name."""
    found: list[Any] = [*built_in()]
    for entry in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        try:
            found.append(entry.load())
        except Exception as error:
            raise UsageError(
                f"the effects of {entry.value!r} cannot be loaded: {error}",
                hint="its package is installed beside ipvm-queue: mend or remove it",
            ) from error
    return found


def _given(family: Any) -> tuple[Effect, ...]:
    given = family() if callable(family) and not isinstance(family, Effect) else family
    return (given,) if isinstance(given, Effect) else tuple(given)
