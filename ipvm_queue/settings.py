"""What can be set, and where each value came from.

A flag wins over `IPVM_*` in the environment, that over a file, that over the default. The files are the one that
`IPVM_CONFIG` names, or else `./ipvm.toml` over `~/.config/ipvm/ipvm.toml` ($XDG_CONFIG_HOME is honoured). Paths in a
file are relative to that file.
"""

from __future__ import annotations

import os
import re
import tomllib
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from ipvm_queue.errors import UsageError

PREFIX: Final = "IPVM_"
CONFIG_VARIABLE: Final = "IPVM_CONFIG"
FILE_NAME: Final = "ipvm.toml"
FOREVER: Final = "forever"
_DAY: Final = 24 * 60 * 60.0
_MIB: Final = 1024 * 1024
_NAME: Final = "[A-Za-z0-9_.-]{1,64}"
_ROLES: Final = ("submitter", "door", "gate", "operator")
_COMPOSE: Final = ("keys", "broker_port", "flower_port", "prometheus_port")
_SCALE: Final = ("wasm_processes", "wasm_memory", "effect_processes")
# What is no setting and is read all the same: by scripts/acl, by compose/compose.yaml, by the commands themselves.
_ELSEWHERE: Final = (*(f"{role}_password" for role in _ROLES), *_COMPOSE, *_SCALE, "config", "debug")


def _lifetime(value: object) -> object:
    """Read `forever`, which is how None is written where only text can be."""
    return None if value == FOREVER else value


def _path(value: object) -> object:
    return Path(value).expanduser().absolute() if isinstance(value, str | Path) else value


Lifetime = Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(_lifetime)]
FullPath = Annotated[Path, BeforeValidator(_path)]


def _xdg(variable: str, fallback: str) -> Path:
    try:
        return Path(os.environ.get(variable) or Path.home() / fallback).absolute() / "ipvm"
    except RuntimeError as error:
        raise UsageError(
            f"nobody says where the home directory is: {error}", hint=f"set HOME, or {variable}"
        ) from error


def _data() -> Path:
    return _xdg("XDG_DATA_HOME", ".local/share")


class Settings(BaseSettings):
    """The settings in force. `Settings(queue="x")` gives flags, and a None is a flag not given.

    Durations are seconds and sizes bytes. Raises `UsageError` for a value that cannot be used and for a key in a file
    that means nothing.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")
    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    broker_url: str | None = Field(None, repr=False, description="Redis or Valkey; without one: a stack of one's own")
    queue: str = Field("default", pattern=f"^{_NAME}$", description="names the keys on the broker")
    key: FullPath = Field(default_factory=lambda: _data() / "keys" / "user.pem", description="the user's Ed25519 key")
    worker_key: FullPath = Field(
        default_factory=lambda: _data() / "keys" / "worker.pem", description="the key that signs receipts"
    )
    queue_key: FullPath = Field(
        default_factory=lambda: _data() / "keys" / "queue.pem", description="the key that the queue speaks with"
    )
    effects_config: FullPath | None = Field(None, description="TOML with a table for each family of effects")
    service_key: FullPath = Field(
        default_factory=lambda: _data() / "keys" / "service.pem", description="the key of the service that is served"
    )
    proofs: FullPath = Field(
        default_factory=lambda: _data() / "proofs" / "user.ucan", description="what lets the user push, and run"
    )
    worker_proofs: FullPath = Field(
        default_factory=lambda: _data() / "proofs" / "worker.ucan", description="what lets the worker pop, and sign"
    )
    single_owner: bool = Field(
        default=False,
        description="queue, service, worker and user are one: make what is missing of their keys and delegations",
    )
    queue_proofs: FullPath = Field(
        default_factory=lambda: _data() / "proofs" / "queue.ucan", description="what lets the queue pass signing on"
    )
    data_dir: FullPath = Field(default_factory=_data, description="what the embedded stack keeps")
    cache_dir: FullPath = Field(
        default_factory=lambda: _xdg("XDG_CACHE_HOME", ".cache"), description="compiled modules and blocks"
    )
    max_document_bytes: int = Field(8 * _MIB, gt=0, description="largest document that is read")
    max_tasks: int = Field(100_000, gt=0, description="most tasks in a document")
    max_depth: int = Field(64, gt=0, le=64, description="deepest nesting in a document")
    max_block_bytes: int = Field(64 * _MIB, gt=0, le=512 * _MIB, description="largest block that is stored")
    max_request_bytes: int = Field(
        256 * _MIB, gt=0, le=512 * _MIB, description="most bytes of blocks that one request brings to the gate"
    )
    max_memory: int = Field(
        4096 * _MIB, gt=0, description="most memory that a worker lets a job give its Wasm (each linear memory)"
    )
    pin_quota: int = Field(
        1024 * _MIB, ge=0, description="most bytes that `handle/resolve` pins for one who asks, for ever"
    )
    run_ttl: Lifetime = Field(7 * _DAY, description="how long a run is remembered after its last step")
    receipt_ttl: Lifetime = Field(None, description="how long receipts of pure work are kept")
    block_ttl: Lifetime = Field(None, description="how long blocks are kept")
    neighbours: str = Field(
        "",
        pattern=f"^({_NAME}( *, *{_NAME})*)?$",
        max_length=1024,
        description="queues on the same broker whose receipts the gate fetches when they are awaited here: NAME,NAME",
    )
    job_ttl: float = Field(7 * _DAY, gt=0, description="how long after its submission a job may run")
    grant_ttl: float = Field(90 * _DAY, ge=3600, description="how long delegations made by `ipvm up` are good")
    pop_lease: float = Field(120.0, ge=3, le=86400, description="how long a worker may take work after it has asked")
    lease: float = Field(10.0, gt=0, le=3600, description="how long a silent worker keeps a task")
    log_form: Literal["console", "json"] = Field("console", description="how workers write their logs")
    budget: float = Field(0.5, ge=0, le=60, description="how long a worker goes on with what it made ready")
    events: bool = Field(
        default=True, description="workers tell of tasks from the start; false: when Flower asks them to"
    )

    def __init__(self, **flags: Any) -> None:
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise _usage_error(error, given) from None
        except SettingsError as error:
            raise UsageError(f"a setting cannot be read: {error}") from None
        files = read_files()
        for name in type(self).model_fields:
            self._sources[name] = _source(name, given, files)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where values come from, the strongest first."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, _Files(settings_cls)

    @field_validator("broker_url")
    @classmethod
    def _check_broker(cls, url: str | None) -> str | None:
        if url is None or url == "":
            return None
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").encode("idna")
            usable = url.startswith(("redis://", "rediss://")) and bool(host) and parts.port != 0
            usable = usable and re.fullmatch("(/[0-9]{0,9})?", parts.path) is not None
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("not a broker address (redis://HOST:PORT/DB or rediss://…)")
        if parts.query or parts.fragment:  # a query would be arguments of redis-py's, in place of ours
            raise ValueError("a broker address ends with its database: nothing behind ? or # is used")
        return url

    def source(self, name: str) -> str:
        """Return where the value of `name` came from: `flag`, `env IPVM_…`, a file's path or `default`."""
        return self._sources[name]

    def shown(self, name: str) -> str:
        """Return the value of `name` for people, its secrets masked."""
        value = getattr(self, name)
        if name.endswith("_ttl") and value is None:
            return FOREVER
        if name == "broker_url":
            return "embedded" if value is None else mask(value)
        return f"{value:.10g}" if isinstance(value, float) else str(value)

    def environment(self) -> dict[str, str]:
        """Return the settings as `IPVM_*` variables, for a process that is to run with the same ones."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        lifetimes = {name: FOREVER for name, value in values.items() if name.endswith("_ttl") and value is None}
        given = {name: str(value) for name, value in values.items() if value is not None} | lifetimes
        return {PREFIX + name.upper(): value for name, value in given.items()}


class _Files(PydanticBaseSettingsSource):
    """The values that the files give."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Give nothing alone: `__call__` gives all values at once."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values of all files, the nearer file winning."""
        return {name: value for name, (value, _path) in read_files().items()}


def config_files() -> list[Path]:
    """Return the files that are read, the weakest first; raises `UsageError` if `IPVM_CONFIG` names none."""
    if given := os.environ.get(CONFIG_VARIABLE):
        path = Path(given).expanduser().absolute()
        if not path.is_file():
            raise UsageError(f"{CONFIG_VARIABLE} names {path}, which is no file")
        return [path]
    candidates = [Path(FILE_NAME).absolute()]
    with suppress(UsageError):  # whose home is not known has no file there
        candidates.insert(0, _xdg("XDG_CONFIG_HOME", ".config") / FILE_NAME)
    return [path for path in candidates if os.path.isfile(path)]  # noqa: PTH113 - False also where one may not look


def read_files() -> dict[str, tuple[Any, Path]]:
    """Return each value that a file gives, with that file."""
    found: dict[str, tuple[Any, Path]] = {}
    for path in config_files():
        for name, value in _read(path).items():
            if name not in Settings.model_fields:
                hint = _suggest(name, f"settings are: {', '.join(Settings.model_fields)}")
                raise UsageError(f"{path}: there is no setting {name!r}", hint=hint)
            found[name] = (_beside(path, name, value), path)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _beside(path: Path, name: str, value: Any) -> Any:
    """Return a path in a file as relative to that file, any other value as it is."""
    is_path = name.endswith(("key", "proofs", "_dir", "_config")) and isinstance(value, str)
    return path.parent / Path(value).expanduser() if is_path else value


def _source(name: str, flags: dict[str, Any], files: dict[str, tuple[Any, Path]]) -> str:
    if name in flags:
        return "flag"
    if (variable := PREFIX + name.upper()) in (key.upper() for key, value in os.environ.items() if value):
        return f"env {variable}"
    return str(files[name][1]) if name in files else "default"


def _usage_error(error: ValidationError, flags: dict[str, Any]) -> UsageError:
    fault = error.errors(include_url=False)[0]
    name = str(fault["loc"][0]) if fault["loc"] else "settings"
    if fault["type"] == "extra_forbidden":
        return UsageError(f"there is no setting {name!r}", hint=_suggest(name, None))
    where = _source(name, flags, read_files())
    reason = fault["msg"].removeprefix("Value error, ")
    shown = "" if name == "broker_url" else f" ({str(fault['input'])[:80]!r})"
    return UsageError(f"{name}{shown}, from {where}: {reason[:1].lower()}{reason[1:]}", setting=name)


def _suggest(name: str, otherwise: str | None) -> str | None:
    close = get_close_matches(name, Settings.model_fields, n=1)
    return f"did you mean {close[0]}?" if close else otherwise


def unknown_variables() -> dict[str, str | None]:
    """Return the `IPVM_*` variables that mean nothing, each with the setting that it is close to."""
    known = {PREFIX + name.upper() for name in (*Settings.model_fields, *_ELSEWHERE)}
    strange = [name for name in os.environ if name.startswith(PREFIX) and name not in known]
    return {name: next(iter(get_close_matches(name, known, n=1)), None) for name in strange}


def mask(url: str) -> str:
    """Return a URL with the password in it replaced by `***`."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))
