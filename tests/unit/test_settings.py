"""Settings: which source wins, what is refused, what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ipvm_queue.errors import UsageError
from ipvm_queue.settings import Settings, mask, unknown_variables

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Return an empty home and work in an empty directory, with no settings in the environment."""
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("IPVM_CONFIG", "IPVM_BROKER_URL", "IPVM_KEY", "IPVM_QUEUE"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    work = tmp_path / "work"
    (home / ".config" / "ipvm").mkdir(parents=True)
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    return home


def user_file(home, text):
    """Write the user's own file."""
    (home / ".config" / "ipvm" / "ipvm.toml").write_text(text)


def test_defaults_stand_in_the_users_home(home):
    """Without anything set, keys and data stand under ~/.local/share/ipvm and there is no broker."""
    settings = Settings()

    assert settings.broker_url is None
    assert settings.key == home / ".local/share/ipvm/keys/user.pem"
    assert settings.data_dir == home / ".local/share/ipvm"
    assert settings.source("key") == "default"


def test_each_source_wins_over_the_next(home, tmp_path, monkeypatch):
    """A flag wins over the environment, that over ./ipvm.toml, that over the user's file."""
    user_file(home, 'queue = "user"\nlease = 7\nbudget = 0.25\nmax_tasks = 5')
    (tmp_path / "work" / "ipvm.toml").write_text('queue = "here"\nlease = 8\nbudget = 0.75')
    monkeypatch.setenv("IPVM_QUEUE", "env")
    monkeypatch.setenv("IPVM_LEASE", "9")

    settings = Settings(queue="flag", broker_url=None)

    assert (settings.queue, settings.lease, settings.budget, settings.max_tasks) == ("flag", 9.0, 0.75, 5)
    assert settings.source("queue") == "flag"
    assert settings.source("lease") == "env IPVM_LEASE"
    assert settings.source("budget") == str(tmp_path / "work" / "ipvm.toml")
    assert settings.source("max_tasks").endswith(".config/ipvm/ipvm.toml")
    assert settings.source("broker_url") == "default"


def test_a_named_file_stands_alone(home, tmp_path, monkeypatch):
    """The file that IPVM_CONFIG names is the only one read."""
    user_file(home, "lease = 7")
    (tmp_path / "other.toml").write_text('queue = "other"')
    monkeypatch.setenv("IPVM_CONFIG", str(tmp_path / "other.toml"))

    settings = Settings()

    assert (settings.queue, settings.lease) == ("other", 10.0)


def test_a_named_file_must_be_there(tmp_path, monkeypatch):
    """IPVM_CONFIG naming nothing is an error, not an empty file."""
    monkeypatch.setenv("IPVM_CONFIG", str(tmp_path / "none.toml"))

    with pytest.raises(UsageError, match="is no file"):
        Settings()


def test_paths_in_a_file_are_relative_to_it(home):
    """A key named in the user's file is looked for beside that file, wherever the command runs."""
    user_file(home, 'key = "mine.pem"')

    assert Settings().key == home / ".config" / "ipvm" / "mine.pem"


def test_an_unknown_key_in_a_file_is_an_error_with_a_suggestion(home):
    """A misspelt key is refused and the right one named."""
    user_file(home, 'broker_ulr = "redis://localhost"')

    with pytest.raises(UsageError, match="no setting 'broker_ulr'") as caught:
        Settings()
    assert caught.value.hint == "did you mean broker_url?"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("IPVM_LEASE", "soon", "lease .*env IPVM_LEASE"),
        ("IPVM_LEASE", "-1", "greater than 0"),
        ("IPVM_QUEUE", "a}b", "queue"),
        ("IPVM_MAX_DEPTH", "1000", "max_depth"),
        ("IPVM_BROKER_URL", "http://:secret@host", "not a broker address"),
        ("IPVM_BROKER_URL", "REDIS://host", "not a broker address"),
        ("IPVM_BROKER_URL", "redis://host:port", "not a broker address"),
        ("IPVM_BROKER_URL", "redis://host..example", "not a broker address"),
        ("IPVM_BROKER_URL", "redis://host/abc", "not a broker address"),
        ("IPVM_BROKER_URL", "redis://host/0/1", "not a broker address"),
        ("IPVM_BROKER_URL", "redis://host/0?socket_timeout=x&password=secret", "nothing behind"),
        ("IPVM_BROKER_URL", "rediss://host#secret", "nothing behind"),
        ("IPVM_NEIGHBOURS", "a,,b", "neighbours"),
        ("IPVM_NEIGHBOURS", "a,b c", "neighbours"),
        ("IPVM_QUEUE", "a b", r"queue .*: string should match pattern '\^\[A-Za-z0-9_\.-\]"),
    ],
)
def test_a_value_that_cannot_be_used_says_where_it_stands(monkeypatch, name, value, words):
    """A bad value names the setting and its source, and never repeats a URL with its password."""
    monkeypatch.setenv(name, value)

    with pytest.raises(UsageError, match=words) as caught:
        Settings()
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_toml_is_an_error(home):
    """Broken TOML names the file and the place."""
    user_file(home, "queue = nothing")

    with pytest.raises(UsageError, match=r"ipvm\.toml is not TOML: .*line 1"):
        Settings()


def test_lifetimes_can_be_for_ever(monkeypatch):
    """`forever` and a number of seconds are both lifetimes."""
    monkeypatch.setenv("IPVM_RUN_TTL", "forever")
    monkeypatch.setenv("IPVM_RECEIPT_TTL", "60")

    settings = Settings()

    assert (settings.run_ttl, settings.receipt_ttl) == (None, 60.0)
    assert settings.shown("run_ttl") == "forever"
    assert settings.shown("receipt_ttl") == "60"


def test_another_process_gets_the_same_settings(monkeypatch, tmp_path):
    """The environment that settings give makes equal settings."""
    settings = Settings(queue="q1", run_ttl="forever", lease=3, key=tmp_path / "k.pem", broker_url="redis://h:1/0")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    assert Settings().model_dump() == settings.model_dump()


def test_passwords_are_masked():
    """No form of the settings for people holds a password."""
    settings = Settings(broker_url="redis://bob:hunter2@host:6379/1")

    assert settings.shown("broker_url") == "redis://bob:***@host:6379/1"
    assert "hunter2" not in repr(settings)
    assert mask("redis://host/0") == "redis://host/0"


def test_settings_do_not_change():
    """Settings are frozen."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().queue = "other"


def test_variables_that_mean_nothing_are_found(monkeypatch):
    """A misspelt variable is reported with the one it is close to."""
    monkeypatch.setenv("IPVM_BROKER", "redis://host")

    assert unknown_variables()["IPVM_BROKER"] == "IPVM_BROKER_URL"


def test_variables_of_a_deployment_mean_something(monkeypatch):
    """What the scripts and containers of a deployment read is not reported, though it is no setting."""
    files = [ROOT / "scripts" / "acl", *(ROOT / "compose").glob("*.yaml"), ROOT / "docs" / "operate.md"]
    named = {name for file in files for name in re.findall(r"IPVM_[A-Z_]*[A-Z]", file.read_text())}
    for name in named:
        monkeypatch.setenv(name, "x")

    assert "IPVM_GATE_PASSWORD" in named
    assert named & unknown_variables().keys() == set()


def test_neighbours_are_names_of_queues():
    """Several are divided by commas, with or without a space; none at all are named by nothing."""
    assert Settings(neighbours="images, mail.out,b").neighbours == "images, mail.out,b"
    assert Settings(neighbours="").neighbours == ""


def test_whose_home_is_not_known_needs_no_file_there(monkeypatch, tmp_path):
    """A service may have no home, or one that it may not look into; what has to be somewhere says so."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)

    assert Settings().data_dir == tmp_path / "ipvm"
    monkeypatch.delenv("XDG_DATA_HOME")
    with pytest.raises(UsageError, match="home directory"):
        Settings()


def test_a_variable_without_a_value_says_nothing(monkeypatch):
    """Compose passes a variable that is not set on as an empty one."""
    for name in ("IPVM_RUN_TTL", "IPVM_EFFECTS_CONFIG", "IPVM_MAX_MEMORY"):
        monkeypatch.setenv(name, "")
    settings = Settings()

    assert (settings.run_ttl, settings.effects_config) == (7 * 24 * 3600, None)
    assert settings.source("run_ttl") == "default"
