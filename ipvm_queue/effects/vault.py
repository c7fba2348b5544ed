"""Secrets in HashiCorp Vault (or OpenBao): one key of one secret of a KV engine of version 2."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.contract import EffectError
from ipvm_queue.effects.fetch import host_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_TOKEN: Final = 4096
_MOUNT: Final = "secret"


def read_vault(table: Mapping[str, str], scope: str, name: str, deadline: float) -> bytes | None:
    """Return a secret's value, None where Vault has none.

    Raises `EffectError`: `secret/extra`, `secret/place` (no token, or it is refused), `secret/unreachable`.
    """
    try:
        import hvac  # noqa: PLC0415 - an extra
        import requests  # noqa: PLC0415 - what hvac speaks through
    except ImportError as error:
        message = "this worker cannot ask Vault: install ipvm-queue[vault] beside it"
        raise EffectError("secret/extra", message, "runner") from error
    seconds = deadline - monotonic()
    if seconds <= 0:
        raise EffectError("secret/timeout", "there was no time left to ask Vault", "network", transient=True)
    host = host_of(table["url"])
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0  # whoever is led elsewhere would take the token along
    session.verify = table.get("ca_file", True)
    client = hvac.Client(url=table["url"], token=_token(table), timeout=seconds, session=session)
    path = "/".join(part for part in (table.get("path", "").strip("/"), scope) if part)
    try:
        answer = client.secrets.kv.v2.read_secret_version(
            path=path, mount_point=table.get("mount", _MOUNT), raise_on_deleted_version=True
        )
    except hvac.exceptions.InvalidPath:
        return None
    except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized) as error:
        raise EffectError("secret/place", f"Vault at {host} refuses this worker's token", "runner") from error
    except (hvac.exceptions.VaultError, requests.RequestException, ValueError) as error:
        message = f"Vault at {host} cannot be asked ({type(error).__name__})"
        raise EffectError("secret/unreachable", message, "network", transient=True) from error
    finally:
        session.close()
    return _value(answer, name)


def _token(table: Mapping[str, str]) -> str:
    try:
        with Path(table["token_file"]).open(encoding="ascii") as file:
            return file.read(_MAX_TOKEN).strip()
    except (OSError, ValueError) as error:
        raise EffectError("secret/place", "this worker cannot read its token for Vault", "runner") from error


def _value(answer: Any, name: str) -> bytes | None:
    try:
        value = answer["data"]["data"].get(name)
    except (KeyError, TypeError, AttributeError) as error:
        raise EffectError("secret/place", "what Vault answered is no secret of version 2", "runner") from error
    if value is None:
        return None
    if not isinstance(value, str):
        raise EffectError("secret/place", f"the secret {name!r} is no text in Vault", "runner")
    return value.encode()
