"""`secret/get` of `ipvm:secret:SCOPE?secret=NAME`: a secret that an operator has put where this worker finds it.

(effects 5.1.3) The places of the `[secrets]` table are asked in this order: variables of the environment (each named in
the table, one by one), files, the system's keyring, Vault. What a job may ask for, its delegations say: their policies
see the URI. The answer is text (bytes where it is not UTF-8), and private.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvm_queue.effects.contract import Call, Context, Effect, EffectError, Outcome, Safety
from ipvm_queue.effects.vault import read_vault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_SECRET: Final = 64 * 1024
_PART: Final = r"[A-Za-z0-9_@+-][A-Za-z0-9._@+-]{0,127}"  # never starts with a dot, so that no path leaves its place
_URI: Final = re.compile(rf"ipvm:secret:((?:{_PART})(?:/{_PART}){{0,15}})\?secret=({_PART})")
_TEXT: Final = {"type": "string", "minLength": 1}

CONFIG: Final = {
    "secrets": {
        "env": {
            "type": "object",
            "additionalProperties": _TEXT,
            "description": 'variables by secret: {"SCOPE?secret=NAME" = "VARIABLE"}',
        },
        "files": {**_TEXT, "description": "a directory with the files SCOPE/NAME"},
        "keyring": {**_TEXT, "description": "the service SERVICE:SCOPE of the system's keyring (extra: keyring)"},
        "vault": {
            "type": "object",
            "properties": {
                "url": {"type": "string", "pattern": "^https?://[^/?#]+"},
                "mount": {**_TEXT, "description": "the mount of a KV version 2 engine: secret"},
                "path": {"type": "string", "description": "what goes before SCOPE"},
                "token_file": {**_TEXT, "description": "a file with the token"},
                "ca_file": {**_TEXT, "description": "the certificates that are trusted"},
            },
            "required": ["url", "token_file"],
            "additionalProperties": False,
            "description": "a Vault server (extra: vault); the key NAME of the secret SCOPE",
        },
    }
}


class Secret(NamedTuple):
    """What is asked for: `github.com/ipvm-wg/spec` and `API_KEY_NAME`."""

    scope: str
    name: str


def read_uri(uri: str) -> Secret:
    """Return the secret that a URI names; raises `EffectError` `secret/uri`."""
    match = _URI.fullmatch(uri)
    if match is None:
        message = "a secret is ipvm:secret:SCOPE?secret=NAME, of letters, digits and ._@+- (no part starts with a dot)"
        raise EffectError("secret/uri", message, "requestor")
    return Secret(match[1], match[2])


def _get(context: Context, call: Call) -> Outcome:
    secret = read_uri(call.uri)
    config = context.config("secrets")
    places = [place for place in _PLACES if place in config]
    if not places:
        message = "this worker has no secrets: its effects_config has no [secrets]"
        raise EffectError("secret/unconfigured", message, "runner")
    for place in places:
        value = _PLACES[place](config[place], secret, call.deadline)
        if value is None:
            continue
        if len(value) > min(MAX_SECRET, call.max_bytes):
            raise EffectError("secret/too-large", f"a secret has at most {MAX_SECRET} bytes", "runner")
        return Outcome({"ok": _text(value)}, {"place": place})
    raise EffectError("secret/absent", f"this worker has no secret {secret.name!r} of {secret.scope}", "runner")


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _from_env(table: Mapping[str, str], secret: Secret, deadline: float) -> bytes | None:
    del deadline
    variable = table.get(f"{secret.scope}?secret={secret.name}")
    value = None if variable is None else os.environ.get(variable)
    return None if value is None else os.fsencode(value)


def _from_files(directory: str, secret: Secret, deadline: float) -> bytes | None:
    """Return the content of a file without one line end at its end; a link that leads out of the place is none."""
    del deadline
    root = Path(directory).resolve()
    path = (root / secret.scope / secret.name).resolve()
    if not path.is_relative_to(root):
        raise EffectError("secret/place", f"the file of {secret.name!r} is outside of its place", "runner")
    try:
        with path.open("rb") as file:
            value = file.read(MAX_SECRET + 2)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    except OSError as error:
        message = f"the file of {secret.name!r} cannot be read: {error.strerror}"
        raise EffectError("secret/place", message, "runner") from error
    return value.removesuffix(b"\n").removesuffix(b"\r")


def _from_keyring(service: str, secret: Secret, deadline: float) -> bytes | None:
    del deadline
    try:
        import keyring  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = "this worker cannot use a keyring: install ipvm-queue[keyring] beside it"
        raise EffectError("secret/extra", message, "runner") from error
    try:
        value = keyring.get_password(f"{service}:{secret.scope}", secret.name)
    except Exception as error:  # its backends' errors have no common root, and their words may hold anything
        message = f"the keyring cannot be asked ({type(error).__name__})"
        raise EffectError("secret/place", message, "runner", transient=True) from error
    return None if value is None else value.encode()


def _from_vault(table: Mapping[str, str], secret: Secret, deadline: float) -> bytes | None:
    return read_vault(table, secret.scope, secret.name, deadline)


_PLACES: Final[dict[str, Callable[[Any, Secret, float], bytes | None]]] = {
    "env": _from_env,
    "files": _from_files,
    "keyring": _from_keyring,
    "vault": _from_vault,
}


def _wrong(uri: str, args: Mapping[str, Any]) -> str | None:
    del args
    try:
        read_uri(uri)
    except EffectError as error:
        return error.message
    return None


EFFECTS: Final = (
    Effect(
        "ipvm",
        "secret/get",
        Safety.QUERY,
        _get,
        {"type": "object", "properties": {"value": {"description": "not used; the drafts write one"}}},
        "a secret of the operator: environment, files, keyring or Vault",
        private=True,
        check=_wrong,
    ),
)
