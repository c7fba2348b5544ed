"""The broker's users, as config/users.acl has them, against what the scripts do."""

from __future__ import annotations

import os
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from ipvm_queue.store import Keys
from ipvm_queue.store.acl import rules

ROOT = Path(__file__).resolve().parents[2]
GATE_S_OWN = {"claim", "look", "reply", "request"}
FILES = sorted((ROOT / "ipvm_queue" / "store" / "scripts").glob("*.lua"))
SCRIPTS = [script for script in FILES if script.stem not in GATE_S_OWN]
PASSWORDS = {f"IPVM_{role}_PASSWORD": f"{role}-0123456789abcdef" for role in ("SUBMITTER", "DOOR", "GATE", "OPERATOR")}

GATES = {"inbox", "inbox:", "reply:", "taken:", "gates", "gate:", "replay:", "leases"}


def rendered(**variables: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/acl with these variables alone."""
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run([ROOT / "scripts" / "acl"], env=environment, capture_output=True, text=True, check=False)


def users(text: str) -> dict[str, list[str]]:
    """Return the rules of each user of an ACL file."""
    return {line.split()[1]: line.split()[2:] for line in text.splitlines()}


def called(script: Path) -> set[str]:
    """Return the commands that a script calls."""
    return {name.lower() for name in re.findall(r"redis\.p?call\('(\w+)'", script.read_text())}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_worker_may_do_what_the_scripts_do(script: Path):
    """Commands inside a script are checked like any other, so the users of workers have every one of them."""
    allowed = {rule[1:] for rule in rules(Keys("default")) if rule.startswith("+")}

    assert called(script) - allowed == set()


def reaches(key: str) -> bool:
    """Return whether the users of workers may do something with a key (without the queue's prefix)."""
    prefix = Keys("default").prefix
    patterns = [rule.removeprefix("%R")[1 + len(prefix) :] for rule in rules(Keys("default")) if "~" in rule[:3]]
    return any(fnmatch(f"{key}x" if key[-1] == ":" else key, pattern) for pattern in patterns)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_worker_reaches_what_the_scripts_reach(script: Path):
    """Every key that a script makes up itself is of a pattern that a worker has."""
    assert [key for key in re.findall(r"P \.\. '([a-z:]+)'", script.read_text()) if not reaches(key)] == []


def test_a_worker_reaches_every_key_but_the_gate_s():
    """A key that is new is a worker's too, or is listed here as one that the gate alone decides by."""
    source = (ROOT / "ipvm_queue" / "store" / "keys.py").read_text()
    made = set(re.findall(r'self\.prefix(?:\}| \+ ")([a-z:]+)', source))

    assert len(made) > 15
    assert {key for key in made if not reaches(key)} == GATES


def test_the_file_is_one_line_a_user_and_no_comments():
    """The server reads lines that begin with `user`, and nothing else."""
    lines = rendered(**PASSWORDS).stdout.splitlines()

    assert [line.split()[:2] for line in lines] == [
        ["user", name] for name in ("default", "health", "submitter", "door", "gate", "operator")
    ]


def test_nobody_comes_in_without_a_name():
    """The default user is off, and no user but the health check is without a password."""
    found = users(rendered(**PASSWORDS).stdout)

    assert found["default"] == ["reset", "off"]
    assert [name for name, rules in found.items() if "nopass" in rules] == ["health"]
    assert found["health"] == ["reset", "on", "nopass", "+ping"]


def test_passwords_stand_as_hashes():
    """No password is in the file."""
    assert not [password for password in PASSWORDS.values() if password in rendered(**PASSWORDS).stdout]


def test_every_key_and_channel_is_the_queue_s():
    """Every pattern of every user begins with the queue's prefix, with the queue's name in it."""
    found = users(rendered(**PASSWORDS, IPVM_QUEUE="images").stdout)
    patterns = [
        rule.lstrip("(%RW").lstrip("~&") for rules in found.values() for rule in rules if "~" in rule or "&" in rule
    ]

    assert patterns
    assert [pattern for pattern in patterns if not pattern.startswith("{ipvm:images}:")] == []


@pytest.mark.parametrize(
    "wrong",
    [{"IPVM_GATE_PASSWORD": "short"}, {"IPVM_GATE_PASSWORD": ""}, {"IPVM_QUEUE": "a b"}, {"IPVM_QUEUE": "*"}],
    ids=str,
)
def test_bad_values_are_refused(wrong: dict[str, str]):
    """A short or missing password, or a queue's name that would be a pattern, ends the script with one line."""
    done = rendered(**{**PASSWORDS, **wrong})

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
