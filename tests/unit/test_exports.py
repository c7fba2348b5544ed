"""What each package offers is what it says that it offers."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import pytest

import ipvm_queue

PACKAGES = ["ipvm_queue"] + [
    f"ipvm_queue.{module.name}" for module in pkgutil.iter_modules(ipvm_queue.__path__) if module.ispkg
]


def offered(package: ModuleType) -> set[str]:
    """Return the public names of a package that are not its own submodules."""
    return {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and name != "annotations" and not isinstance(value, ModuleType)
    }


@pytest.mark.parametrize("name", PACKAGES)
def test_nothing_is_public_by_accident(name: str):
    """Every public name of a package stands in its `__all__`; a package without one offers nothing."""
    package = importlib.import_module(name)

    assert offered(package) - set(getattr(package, "__all__", [])) == set()


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_real(name: str):
    """`__all__` names each thing once, and each can be fetched (those that are loaded at first use, too)."""
    package = importlib.import_module(name)
    names = list(getattr(package, "__all__", []))

    assert len(names) == len(set(names))
    assert [missing for missing in names if not hasattr(package, missing)] == []


def test_the_public_api_is_at_the_top():
    """`from ipvm_queue import Client` is the documented way in."""
    assert "Client" in ipvm_queue.__all__
