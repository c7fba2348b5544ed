"""Secrets from the places that an operator has named, and from no other."""

from __future__ import annotations

import json

import keyring
import trustme
from handlers import Given, error_of, run
from keyring.backend import KeyringBackend
from shelf import shelf

from ipvm_queue.effects import check, find

SCOPE = "github.com/ipvm-wg/spec"
URI = f"ipvm:secret:{SCOPE}?secret=API_KEY"


def test_the_environment_gives_what_the_table_names(monkeypatch):
    """Variables are named one by one: no other can be read."""
    monkeypatch.setenv("GITHUB_TOKEN", "s3cret")
    context = Given({"secrets": {"env": {f"{SCOPE}?secret=API_KEY": "GITHUB_TOKEN"}}})

    outcome = run(context, URI, "secret/get")
    assert outcome.out == {"ok": "s3cret"}
    assert outcome.evidence == {"place": "env"}
    for other in ("ipvm:secret:github.com?secret=API_KEY", f"ipvm:secret:{SCOPE}?secret=PATH"):
        assert error_of(context, other, "secret/get").code == "secret/absent"


def test_files_give_their_content(tmp_path):
    """Text without its last line end; bytes where it is not UTF-8."""
    place = tmp_path / "secrets" / SCOPE
    place.mkdir(parents=True)
    (place / "API_KEY").write_bytes(b"from a file\n")
    (place / "BINARY").write_bytes(b"\xff\x00")
    context = Given({"secrets": {"files": str(tmp_path / "secrets")}})

    assert run(context, URI, "secret/get").out == {"ok": "from a file"}
    assert run(context, f"ipvm:secret:{SCOPE}?secret=BINARY", "secret/get").out == {"ok": b"\xff\x00"}
    assert error_of(context, f"ipvm:secret:{SCOPE}?secret=OTHER", "secret/get").code == "secret/absent"
    assert error_of(context, "ipvm:secret:github.com?secret=ipvm-wg", "secret/get").code == "secret/absent"


def test_no_path_leaves_its_place(tmp_path):
    """Neither dots nor links lead to a file outside."""
    place = tmp_path / "secrets"
    (place / "a").mkdir(parents=True)
    (tmp_path / "outside").write_text("not yours")
    (place / "a" / "LINK").symlink_to(tmp_path / "outside")
    context = Given({"secrets": {"files": str(place)}})

    assert error_of(context, "ipvm:secret:a?secret=LINK", "secret/get").code == "secret/place"
    for rest in ("..?secret=x", "a/..?secret=x", "a?secret=../../x", "a//b?secret=x", "/etc?secret=x", "a?secret=%2e"):
        uri = f"ipvm:secret:{rest}"
        error = error_of(context, uri, "secret/get")
        assert (error.code, error.fault) == ("secret/uri", "requestor")
        assert list(check(uri, "secret/get", {})) != []


def test_a_large_file_is_no_secret(tmp_path):
    """More than 64 KiB is refused."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "BIG").write_bytes(bytes(65 * 1024))

    error = error_of(Given({"secrets": {"files": str(tmp_path)}}), "ipvm:secret:a?secret=BIG", "secret/get")
    assert error.code == "secret/too-large"


def test_places_are_asked_in_order(tmp_path, monkeypatch):
    """What the first has not, the next may have."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "X").write_text("file")
    tables = {"secrets": {"files": str(tmp_path), "env": {"a?secret=X": "IT_IS_SET"}}}

    assert run(Given(tables), "ipvm:secret:a?secret=X", "secret/get").evidence == {"place": "files"}
    monkeypatch.setenv("IT_IS_SET", "env")
    assert run(Given(tables), "ipvm:secret:a?secret=X", "secret/get").evidence == {"place": "env"}


def test_a_worker_without_secrets_says_so():
    """No table is the runner's lack; an absent secret too."""
    error = error_of(Given({}), URI, "secret/get")

    assert (error.code, error.fault) == ("secret/unconfigured", "runner")


class OneSecret(KeyringBackend):
    """A keyring that has one secret."""

    priority = 1

    def get_password(self, service, username):
        """Return it."""
        if username == "BROKEN":
            raise RuntimeError("the canary")
        return "from the keyring" if (service, username) == (f"ipvm:{SCOPE}", "API_KEY") else None

    def set_password(self, service, username, password):
        """Keep nothing."""


def test_the_systems_keyring_is_asked():
    """The service is the table's and the scope's; what a backend raises is told without its words."""
    before = keyring.get_keyring()
    keyring.set_keyring(OneSecret())
    try:
        context = Given({"secrets": {"keyring": "ipvm"}})
        assert run(context, URI, "secret/get").out == {"ok": "from the keyring"}
        assert error_of(context, f"ipvm:secret:{SCOPE}?secret=B", "secret/get").code == "secret/absent"
        error = error_of(context, f"ipvm:secret:{SCOPE}?secret=BROKEN", "secret/get")
        assert error.code == "secret/place"
        assert "canary" not in error.message
    finally:
        keyring.set_keyring(before)


def test_vault_is_asked(tmp_path):
    """By its HTTP API, with the token of a file; a refusal, an absence and no server are told apart."""
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    with shelf() as vault:
        vault.things[f"/v1/kv/data/ipvm/{SCOPE}"] = json.dumps(
            {"data": {"data": {"API_KEY": "from vault", "N": 1}, "metadata": {}}}
        ).encode()
        vault.things["/v1/kv/data/ipvm/denied"] = 403
        table = {"url": vault.url, "mount": "kv", "path": "ipvm", "token_file": str(token)}
        context = Given({"secrets": {"vault": table}})

        assert run(context, URI, "secret/get").out == {"ok": "from vault"}
        assert vault.headers[-1]["X-Vault-Token"] == "t0ken"
        assert error_of(context, f"ipvm:secret:{SCOPE}?secret=OTHER", "secret/get").code == "secret/absent"
        assert error_of(context, "ipvm:secret:nowhere?secret=A", "secret/get").code == "secret/absent"
        assert error_of(context, "ipvm:secret:denied?secret=A", "secret/get").code == "secret/place"
        assert error_of(context, f"ipvm:secret:{SCOPE}?secret=N", "secret/get").code == "secret/place"
        assert error_of(context, URI, "secret/get", seconds=-1).code == "secret/timeout"
    error = error_of(context, URI, "secret/get")
    assert (error.code, error.fault) == ("secret/unreachable", "network")
    token.unlink()
    assert error_of(context, URI, "secret/get").code == "secret/place"


def test_vault_is_trusted_by_its_certificate_alone(tmp_path):
    """`ca_file` says whose certificates count, and a server that leads elsewhere does not get the token there."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "token").write_text("t0ken")
    with shelf(authority.issue_cert("127.0.0.1")) as vault:
        vault.things["/v1/secret/data/a"] = json.dumps({"data": {"data": {"K": "v"}, "metadata": {}}}).encode()
        vault.things["/v1/secret/data/b"] = 302
        table = {"url": vault.url, "token_file": str(tmp_path / "token")}
        trusting = Given({"secrets": {"vault": {**table, "ca_file": str(tmp_path / "ca.pem")}}})

        assert run(trusting, "ipvm:secret:a?secret=K", "secret/get").out == {"ok": "v"}
        assert error_of(trusting, "ipvm:secret:b?secret=K", "secret/get").code == "secret/unreachable"
        assert ("GET", "/elsewhere") not in vault.asked
        other = Given({"secrets": {"vault": table}})
        assert error_of(other, "ipvm:secret:a?secret=K", "secret/get").code == "secret/unreachable"


def test_secrets_are_private():
    """Unless a job forces otherwise (effects 5.1.3)."""
    assert find(URI, "secret/get").private
