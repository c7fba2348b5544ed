"""compose/compose.yaml, read as text: what every container must be, and that what it names is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ipvm_queue.settings import _ELSEWHERE, Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose" / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
VARIABLES = {
    "IPVM_SUBMITTER_PASSWORD": "submitter-0123456",
    "IPVM_DOOR_PASSWORD": "door-0123456789ab",
    "IPVM_GATE_PASSWORD": "gate-0123456789ab",
    "IPVM_OPERATOR_PASSWORD": "operator-01234567",
    "FLOWER_BASIC_AUTH": "operator:password",
}


def engine() -> list[str] | None:
    """Return the command of a Compose that is here; it needs no engine to check a file."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if (
            shutil.which(command[0])
            and not subprocess.run([*command, "version"], capture_output=True, check=False).returncode
        ):
            return command
    return None


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_little(name: str):
    """Every container has a read-only file system, no capabilities, no way to gain any, a check and 60 s to stop."""
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["healthcheck"]["test"]
    assert service["stop_grace_period"] == "60s"
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_is_root(name: str):
    """A container's user is said in the service, or in the one Dockerfile."""
    user = str(SERVICES[name].get("user", ""))
    ours = "build" in SERVICES[name] and re.search(
        r"^USER ipvm$", (ROOT / "compose" / "Dockerfile").read_text(), re.MULTILINE
    )

    assert ours or re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_on_the_loopback(name: str):
    """What a container publishes is reached from the host alone."""
    assert [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str):
    """An image of others has an exact version; ours is built here from images that have."""
    bases = re.findall(r"^FROM (\S+)", (ROOT / "compose" / "Dockerfile").read_text(), re.MULTILINE)
    images = bases if "build" in SERVICES[name] else [SERVICES[name]["image"]]

    assert [image for image in images if not re.search(r":v?\d+\.\d+\.\d+", image)] == []


def test_files_that_are_mounted_exist():
    """A missing file would be mounted as an empty directory."""
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    files = [COMPOSE.parent / source for source in mounted if source.startswith(".")]

    assert files
    assert [file for file in files if not file.is_file()] == []


def test_no_secret_is_written_down():
    """Passwords come from the environment, and a missing one stops the start with a reason."""
    text = COMPOSE.read_text()
    secrets = re.findall(r"\$\{(IPVM_\w+_PASSWORD|FLOWER_BASIC_AUTH)([^}]*)\}", text)

    assert {name for name, _ in secrets} == set(VARIABLES)
    assert [name for name, rest in secrets if not rest.startswith(":?")] == []


def test_processes_are_of_roles_that_exist():
    """`celery -A workers.x` names a module that is there."""
    roles = re.findall(r"workers\.(\w+)", COMPOSE.read_text())

    assert roles
    assert [role for role in roles if not (ROOT / "workers" / f"{role}.py").is_file()] == []


@pytest.mark.skipif(engine() is None, reason="no Compose here: install docker-compose-plugin to check the file with it")
def test_compose_accepts_the_file(tmp_path: Path):
    """`docker compose config` reads the file with all variables set, and refuses it without them."""
    command = engine()
    assert command
    text = COMPOSE.read_text()
    version = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=True).stdout
    if version.startswith("1."):  # the old client knows services, and no name
        text = 'version: "3.9"\n' + re.sub(r"^name:.*\n", "", text, flags=re.MULTILINE)
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    bare = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    config = [*command, "-f", str(file), "config", "--quiet"]
    given = subprocess.run(config, env={**bare, **VARIABLES}, capture_output=True, text=True, check=False)
    missing = subprocess.run(config, env=bare, capture_output=True, text=True, check=False)

    assert given.returncode == 0, given.stderr
    assert missing.returncode != 0
    assert "make compose/.env first" in missing.stderr


def test_what_is_passed_on_is_a_setting():
    """Every variable of ours that a container gets, or that the README has for compose/.env, means something."""
    known = {f"IPVM_{name.upper()}" for name in (*Settings.model_fields, *_ELSEWHERE)}
    text = COMPOSE.read_text() + (COMPOSE.parent / "README.md").read_text()

    assert set(re.findall(r"IPVM_[A-Z_]+", text)) - known == set()
