"""Print docs/effects.md from the registry itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ipvm_queue.effects.registry import built_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ipvm_queue.effects import Effect

HEAD = """\
# Effects

Printed by `python scripts/effects_reference.py > docs/effects.md`; a test compares. `ipvm effect kinds` lists those
that are installed here.

A job says `{"type": "ipvm/effect", "with": URI, "do": ability, "value": …, "inputs": {…}}`. What it does is found by
the URI's scheme and the ability; a pair that nobody knows is refused at submission, and so is an argument that
does not fit. A `with` that is a promise is looked up when its value is there. [net.md](net.md) and
[sources.md](sources.md) say more of each family.

- A **query** only asks. Each run asks anew; what is transient is asked again after 0.2 to 5 seconds, six times at most
  and within the task's time. The receipt's `meta` has `attempts` (when, how long, which error), `request` (the CID of
  what was asked) and `evidence`.
- A **command** changes the world. It is done once for its signed job, or is in doubt:
  [exactly-once.md](exactly-once.md). *Key*: the world itself refuses a second one under the same key. *Asks back*: in
  doubt, the handler can ask what became of it. *Alone*: one at a time for each resource, such as a zone, a mailbox or
  an origin.
- **Private** results are sealed, with all that is made of them, unless the job says `public`:
  [visibility.md](visibility.md).

An answer has at most as many bytes as the job's `disk` allows (10 MB unless it says otherwise), and an error has a
`code`, a `message` and a `fault`: `requestor`, `runner`, `network` or `world`.

## Handlers of your own

A package adds handlers by an entry point of the group `ipvm_queue.effects` that names a module with
`EFFECTS: tuple[Effect, …]` (`ipvm_queue.effects.contract` says what an `Effect` is) and, if it can be configured,
`CONFIG`. It must be installed beside the workers and beside whoever submits. `tests/witness` is one.

"""
_TABLES = """
## Configuration

The setting `effects_config` names a TOML file with these tables. An unknown table or key is an error.
"""


def marks(effect: Effect) -> str:
    """Return what is special about an effect."""
    words = {
        "private": effect.private,
        "key": effect.idempotency_key and effect.reconcile is not None,
        "asks back": effect.reconcile is not None,
        "alone": effect.resource is not None,
    }
    return ", ".join(word for word, holds in words.items() if holds)


def kind(schema: Mapping[str, Any]) -> str:
    """Return a schema in a few words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return " / ".join(f"`{each}`" for each in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    names = schema.get("type", "any")
    words = names if isinstance(names, str) else " or ".join(names)
    return f"{words} of {kind(schema['items'])}" if "items" in schema else words


def arguments(schema: Mapping[str, Any]) -> str:
    """Return the arguments of an effect in one cell; the needed ones are marked."""
    needed = schema.get("required", ())
    return ", ".join(
        f"`{name}`{'*' if name in needed else ''} ({kind(each)})" for name, each in schema.get("properties", {}).items()
    )


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(_effects()) + "".join(_tables())


def _effects() -> Iterator[str]:
    """Yield a row for each effect; those of several schemes that are alike share one."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for family in built_in():
        for effect in family.EFFECTS:
            row = (effect.ability, effect.safety.value, effect.summary, marks(effect), arguments(effect.schema))
            rows.setdefault(tuple(_cell(each) for each in row), []).append(f"`{effect.scheme}:`")
    yield "## Table\n\n`*` marks an argument that must be there.\n\n"
    yield "| with | do | class | what it does | | arguments |\n|---|---|---|---|---|---|\n"
    for (ability, *rest), schemes in sorted(rows.items(), key=lambda row: (row[1], row[0])):
        yield f"| {' '.join(schemes)} | `{ability}` | {' | '.join(rest)} |\n"


def _tables() -> Iterator[str]:
    yield _TABLES
    for family in built_in():
        for name, keys in getattr(family, "CONFIG", {}).items():
            yield f"\n### `[{name}]`\n\n| key | value | |\n|---|---|---|\n"
            for key, schema in keys.items():
                yield f"| `{key}` | {_cell(kind(schema))} | {_cell(schema.get('description', ''))} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(page())
