"""The examples, run as their READMEs tell a reader to: the same commands in a real shell, with the same output."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
READMES = sorted(ROOT.glob("examples/*/README.md"))
STEP = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(readme: Path) -> list[tuple[str, str | None]]:
    """Return each command of a README with the output that the README says it has."""
    found: list[tuple[str, str | None]] = []
    for language, text in STEP.findall(readme.read_text()):
        if language == "sh":
            found.append((text, None))
        else:
            found[-1] = (found[-1][0], text)
    return found


@pytest.fixture
def environment(tmp_path):
    """Return a user of one's own, with the installed commands first in the path."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("IPVM_")},
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
    }


@pytest.mark.parametrize("readme", [path for path in READMES if steps(path)], ids=lambda path: path.parent.name)
def test_readme_runs_as_written(readme, environment):
    """Every command of an example's README exits 0 and prints what the README says."""
    for command, promised in steps(readme):
        done = subprocess.run(
            ["sh", "-euc", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if promised is not None:
            assert done.stdout == promised, f"{command}\n{done.stderr}"


def test_every_example_has_steps():
    """An example is a folder whose README has commands, and every command says what it prints."""
    found = {path.parent.name: steps(path) for path in READMES}

    assert {"pipeline", "map-reduce", "image", "errors"} <= {name for name, commands in found.items() if commands}
    assert all(promised for commands in found.values() for _, promised in commands)
