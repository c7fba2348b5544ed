"""The registry of effects: what is known, what is near, what is wrong with a call."""

from __future__ import annotations

from typing import ClassVar

import pytest

from ipvm_queue.effects import Effect, Outcome, Safety, UnknownEffectError, check, find, registry, safety_of
from ipvm_queue.effects.config import EffectsConfig
from ipvm_queue.errors import UsageError
from ipvm_queue.workflow import Promise, Task


def row(scheme, ability, safety=Safety.QUERY, **more):
    """Return an effect that answers null."""
    given = {"run": lambda _context, _call: Outcome({"ok": None}), "schema": {"properties": {}}, "summary": "a test's"}
    return Effect(scheme, ability, safety, **{**given, **more})


class Family:
    """What an entry point may name."""

    EFFECTS = (
        row("test", "crud/read", schema={"properties": {"depth": {"type": "integer", "maximum": 3}}}),
        row("test", "crud/update", Safety.COMMAND, schema={"properties": {"value": {}}, "required": ["value"]}),
        row("*", "test/look"),
        row("other", "test/look", Safety.QUERY, check=lambda uri, _args: "is too long" if len(uri) > 10 else None),
    )
    CONFIG: ClassVar = {"test": {"servers": {"type": "array", "items": {"type": "string"}}}}


@pytest.fixture(autouse=True)
def family(monkeypatch):
    """Let the registry know the family above alone."""
    registry._rows.cache_clear()
    monkeypatch.setattr(registry, "_modules", lambda: [Family])
    yield
    registry._rows.cache_clear()


def task(resource, ability):
    """Return an effect's task."""
    return Task("a", "effect", resource, ability, args={})


def test_a_scheme_is_found_in_any_case_and_before_any_scheme():
    """URI schemes are case-insensitive, and a row for the scheme wins over one for all."""
    assert find("TEST:x", "crud/read").scheme == "test"
    assert find("strange:x", "test/look").scheme == "*"
    assert find("other:x", "test/look").scheme == "other"


def test_an_unknown_pair_is_refused_with_what_is_near():
    """The hint names what the same scheme and the same ability have, then what looks alike."""
    with pytest.raises(UnknownEffectError) as refused:
        find("test:x", "crud/reed")

    assert refused.value.message == "no handler here knows crud/reed of test:"
    assert refused.value.hint.startswith("known are crud/read of test:, crud/update of test:")


def test_arguments_are_checked_where_no_promise_stands():
    """A wrong type, a missing and a surplus argument are named; a promise may become anything."""
    assert list(check("test:x", "crud/read", {"depth": 4})) == ["depth: is at most 3"]
    assert list(check("test:x", "crud/read", {"deep": 4})) == ["has no 'deep' (did you mean 'depth'?)"]
    assert list(check("test:x", "crud/update", {})) == ["needs 'value'"]
    assert list(check("test:x", "crud/read", {"depth": Promise(label="b")})) == []
    assert list(check("other:much-too-long", "test/look", {})) == ["is too long"]


def test_a_promised_uri_is_checked_as_far_as_it_can_be():
    """Its ability must be known for some scheme."""
    assert list(check(Promise(label="b"), "crud/update", {})) == []
    with pytest.raises(UnknownEffectError):
        list(check(Promise(label="b"), "crud/dance", {}))


@pytest.mark.parametrize(
    ("resource", "ability", "safety"),
    [
        ("test:x", "crud/read", Safety.QUERY),
        ("test:x", "crud/update", Safety.COMMAND),
        ("unknown:x", "crud/read", Safety.COMMAND),
        (Promise(label="b"), "crud/read", Safety.QUERY),
        (Promise(label="b"), "crud/update", Safety.COMMAND),
        (Promise(label="b"), "crud/dance", Safety.COMMAND),
    ],
)
def test_the_pair_of_scheme_and_ability_decides_the_safety(resource, ability, safety):
    """What nobody knows is taken for a command (effects 2)."""
    assert safety_of(task(resource, ability)) is safety


def test_the_configuration_is_read_by_table(tmp_path):
    """A table is what the file says, and empty where it says nothing."""
    file = tmp_path / "effects.toml"
    file.write_text('[test]\nservers = ["127.0.0.1"]\n')

    assert EffectsConfig(file).table("test") == {"servers": ["127.0.0.1"]}
    assert EffectsConfig(file).table("other") == {}
    assert EffectsConfig(None).table("test") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[test\n", "is not TOML"),
        ("[tset]\n", "no effect has a table [tset]"),
        ('[test]\nserver = "x"\n', "[test] has no 'server' (did you mean 'servers'?)"),
        ("[test]\nservers = [1]\n", "[test] servers[0]: is string, this is integer"),
        ("test = 1\n", "[test] is object, this is integer"),
    ],
)
def test_a_wrong_configuration_names_file_table_and_key(tmp_path, text, message):
    """No key is silently ignored."""
    file = tmp_path / "effects.toml"
    file.write_text(text)

    with pytest.raises(UsageError) as refused:
        EffectsConfig(file)

    assert str(file) in refused.value.message
    assert message in refused.value.message
