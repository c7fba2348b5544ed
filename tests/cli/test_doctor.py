"""`ipvm doctor`: what it looks at, and what it says of it."""

from __future__ import annotations

import pytest
from stack import Stack

integration = pytest.mark.integration
on_stack = pytest.mark.usefixtures("up")


@integration
@on_stack
def test_the_doctor_finds_a_healthy_stack_healthy(call, monkeypatch):
    """The doctor prints each setting with its source and finds a stack of ours in order."""
    monkeypatch.setenv("IPVM_LAESE", "3")

    answer = call("ipvm", "doctor", "--json")

    assert answer.code == 0
    checks = {each["check"]: each for each in answer.json["checks"]}
    names = ("key", "broker", "persistence", "commands", "clock")
    assert {name: checks[name]["level"] for name in names} == dict.fromkeys(names, "ok")
    assert "WAITAOF" in checks["commands"]["message"]
    assert checks["environment"]["hint"] == "did you mean IPVM_LEASE?"
    (row,) = [row for row in answer.json["settings"] if row["name"] == "key"]
    assert row["source"] == "env IPVM_KEY"


@integration
@pytest.mark.parametrize(
    ("told", "level", "words"),
    [
        ({"appendonly": "no"}, "warn", "`appendonly yes`"),
        ({"appendonly": "yes", "appendfsync": "no"}, "warn", "everysec"),
        ({"appendonly": "yes", "appendfsync": "always"}, "ok", ""),
    ],
)
def test_the_doctor_says_whether_commands_may_be_done(call, tmp_path, told, level, words):
    """On a broker that cannot keep an intent, what to change; its guard would refuse every destructive effect."""
    stack = Stack(tmp_path / "broker")
    try:
        stack.start_valkey(gate=False)
        for name, value in told.items():
            stack.redis.config_set(name, value)
        checks = {
            each["check"]: each for each in call("ipvm", "doctor", "--broker", stack.url, "--json").json["checks"]
        }
    finally:
        stack.stop()

    assert checks["commands"]["level"] == level
    assert words in (checks["commands"]["hint"] or "")


@integration
def test_the_doctor_says_that_the_broker_is_full(call, tmp_path):
    """A broker that takes nothing new is not well, whatever else it can."""
    stack = Stack(tmp_path / "broker")
    try:
        stack.start_valkey(gate=False)
        stack.redis.config_set("maxmemory", 1)
        answer = call("ipvm", "doctor", "--broker", stack.url, "--json")
    finally:
        stack.stop()

    checks = {each["check"]: each for each in answer.json["checks"]}
    assert (checks["memory"]["level"], answer.code) == ("fail", 1)
    assert "maxmemory" in checks["memory"]["message"]


@integration
def test_the_doctor_says_what_it_may_not_ask(call, tmp_path):
    """Who may not say WAITAOF is told so, not that the broker forgets."""
    stack = Stack(tmp_path / "broker")
    try:
        stack.start_valkey(gate=False)
        stack.redis.execute_command("ACL", "SETUSER", "some", "on", ">one", "~*", "+@all", "-waitaof")
        url = f"redis://some:one@127.0.0.1:{stack.port}/0"
        checks = {each["check"]: each for each in call("ipvm", "doctor", "--broker", url, "--json").json["checks"]}
    finally:
        stack.stop()

    assert (checks["commands"]["level"], "not tried" in checks["commands"]["message"]) == ("ok", True)


def test_the_doctor_masks_passwords_and_says_what_is_wrong(call):
    """A broker that is away: exit code 6, the check that failed, and no password anywhere."""
    answer = call("ipvm", "doctor", "--broker", "redis://me:secret@127.0.0.1:1/0")

    assert answer.code == 6
    assert "FAILED  broker: " in answer.out
    assert "redis://me:***@127.0.0.1:1/0  (flag)" in answer.out
    assert "secret" not in answer.out + answer.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read {path}: No such file or directory"),
        ("[dns", "{path} is not TOML"),
        ("[dns]\nbogus = 1", "{path}: [dns] has no 'bogus'"),
        ("[http]\ntimeout = 5", None),
    ],
)
def test_the_doctor_reads_what_effects_are_told(call, write, monkeypatch, tmp_path, content, said):
    """The file that `effects_config` names is read as a worker reads it, and what is wrong with it fails."""
    path = tmp_path / "work" / "effects.toml" if content is None else write("effects.toml", content)
    monkeypatch.setenv("IPVM_EFFECTS_CONFIG", str(path))

    answer = call("ipvm", "doctor", "--json", "--broker", "redis://127.0.0.1:1/0")

    (check,) = [each for each in answer.json["checks"] if each["check"] == "effects_config"]
    assert check["level"] == ("ok" if said is None else "fail")
    assert check["message"].startswith((said or "{path}").format(path=path))


def test_the_doctor_knows_the_variables_of_the_documentation(call, monkeypatch):
    """The passwords that an operator exports are no misspelt settings."""
    monkeypatch.setenv("IPVM_GATE_PASSWORD", "x" * 16)

    assert "environment" not in call("ipvm", "doctor", "--broker", "redis://127.0.0.1:1/0").out
