"""How dangerous a task is to run again (effects 2).

Wasm is pure. The class of an effect is a matter of its pair (URI scheme, ability): `effects.safety_of` knows.
"""

from __future__ import annotations

from enum import StrEnum


class Safety(StrEnum):
    """The three classes of work, from the safest to the most dangerous."""

    PURE = "pure"  # inputs to outputs; kept for ever, shared by everyone
    QUERY = "query"  # asks the world; may be retried and raced
    COMMAND = "command"  # changes the world; once, and never again by itself
