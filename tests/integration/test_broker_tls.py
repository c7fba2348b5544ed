"""A broker behind TLS: it is spoken to once it has proved who it is, by us and by Celery."""

from __future__ import annotations

import ssl
from contextlib import suppress

import pytest
import trustme
from celery import Celery
from kombu.exceptions import OperationalError
from web import raw_server

from ipvm_queue.errors import UnavailableError
from ipvm_queue.settings import Settings
from ipvm_queue.store import connect
from ipvm_queue.worker.app import defaults

pytestmark = pytest.mark.integration


def ask(url):
    """Let the store ask a broker for a sign of life; raises `UnavailableError`."""
    client = connect(url, retries=0)
    try:
        client.ping()
    finally:
        client.close()


def ask_by_celery(url):
    """Let Celery connect to a broker as a worker's does; raises kombu's `OperationalError`."""
    app = Celery("test", set_as_current=False)
    app.conf.update(defaults(Settings(broker_url=url), ["ipvm.wasm"]))
    with app.connection() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)


@pytest.mark.parametrize("by", [ask, ask_by_celery])
def test_a_broker_is_told_nothing_until_it_has_proved_who_it_is(by, monkeypatch, tmp_path):
    """Not the password, not a command: only where an authority that is trusted vouches for its name."""
    authority, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    heard = []

    def serve(connection, _done):
        with server.wrap_socket(connection, server_side=True) as inside:
            heard.append(inside.recv(100))

    with raw_server(serve) as address:
        url = f"rediss://me:secret@{address.replace('127.0.0.1', 'localhost')}/0"
        with pytest.raises((UnavailableError, OperationalError), match="CERTIFICATE_VERIFY_FAILED"):
            by(url)
        assert heard == []

        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with suppress(UnavailableError, OperationalError):  # it hangs up
            by(url)
        assert b"secret" in heard[0]
