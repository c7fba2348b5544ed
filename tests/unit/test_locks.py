"""The locks against pyproject.toml: whoever installs gets what was tested, from wherever they choose."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
GIVEN = {
    "requirements.lock": [
        *RUNTIME,
        *(requirement for name in EXTRAS.keys() - {"fast"} for requirement in EXTRAS[name]),
        *GROUPS["dev"],
        *GROUPS["build"],
    ],
    "requirements-fast.lock": EXTRAS["fast"],
    "compose/requirements.lock": [*RUNTIME, *EXTRAS["flower"], *GROUPS["build"]],
}


def locked(name: str) -> dict[str, list[str]]:
    """Return the versions that a lock has of each package."""
    found: dict[str, list[str]] = {}
    for package, version in re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE):
        found.setdefault(package, []).append(version)
    return found


@pytest.mark.parametrize("name", GIVEN)
def test_a_lock_has_what_the_project_asks_for(name: str):
    """Every dependency is in the lock, in a version that the project allows (else: scripts/lock)."""
    versions = locked(name)
    wanted = [Requirement(text) for text in GIVEN[name] if isinstance(text, str)]

    assert wanted
    for requirement in wanted:
        for version in versions[canonicalize_name(requirement.name)]:
            assert requirement.specifier.contains(version, prereleases=True), f"{requirement} has {version}"


@pytest.mark.parametrize("name", GIVEN)
def test_every_package_has_its_hashes(name: str):
    """A package without a hash could be anything."""
    entries = re.split(r"^(?=[a-z0-9])", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]

    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", GIVEN)
def test_no_lock_names_a_place(name: str):
    """Where packages come from is for whoever installs to say."""
    assert re.findall(r"https?:|file:|index-url|find-links", (ROOT / name).read_text()) == []


def test_the_accelerator_is_apart():
    """What needs a compiler is in a lock of its own, and in no other."""
    assert list(locked("requirements-fast.lock")) == ["cbrrr"]
    assert "cbrrr" not in locked("requirements.lock")


def test_py_ucan_brings_neither_poetry_nor_its_old_cryptography():
    """py-ucan's pins are overridden: no poetry in the lock, and the cryptography that the project asks for."""
    assert "py-ucan" in locked("requirements.lock")
    assert "poetry" not in locked("requirements.lock")
