"""Mail to a real SMTP server: what arrives, what is refused, and what is known where it breaks off."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from aiosmtpd.smtp import AuthResult, LoginPassword
from handlers import TASK, Blocks, Given, call_of, error_of, run
from mailbox_server import Inbox, mail_server, speak, until
from web import raw_server

from ipvm_queue.effects import EffectError, check, find
from ipvm_queue.ipld import Link

pytestmark = [
    pytest.mark.integration,
    # The server's own: it looks at its loop in a way that Python will not have for ever.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:aiosmtpd"),
]
ALICE = "mailto:alice@example.com"
MAIL = {"to": "bob@example.com", "subject": "Hello", "value": "How are you?"}


@pytest.fixture
def inbox():
    """Return a handler."""
    return Inbox()


@pytest.fixture
def start(inbox):
    """Return a function that starts a server with options and gives its address."""
    with ExitStack() as running:
        yield lambda **options: running.enter_context(mail_server(inbox, **options))


def context(address, **more):
    """Return a context that sends through a server on the loopback, without TLS unless told."""
    table = {
        "server": address,
        "tls": "none",
        "senders": ["alice@example.com"],
        "hello": "worker.test",
        "timeout": 20.0,
    }
    return Given({"smtp": {**table, **more}})


def test_a_message_arrives(start, inbox):
    """With its stable Message-ID, names and letters of any script, and everybody who is to get it."""
    world = context(start())
    outcome = run(
        world, ALICE, "msg/send",
        to=["Bob Müller <bob@example.com>", "carol@example.com"], cc="dave@example.com", bcc=["erin@Bücher.example"],
        subject="Grüße — 你好", value="Hällo\n.\n..dots\n" + "x" * 2000, reply_to="desk@example.com",
        **{"from": "Alice <alice@example.com>"},
    )  # fmt: skip
    ((sender, receivers, message, _),) = inbox.taken
    identity = f"<{TASK}@example.com>"

    assert outcome.out["ok"]["message_id"] == message["Message-ID"] == identity
    assert (sender, receivers) == (
        "alice@example.com", ["bob@example.com", "carol@example.com", "dave@example.com", "erin@xn--bcher-kva.example"],
    )  # fmt: skip
    assert message["To"] == "Bob Müller <bob@example.com>, carol@example.com"
    assert (message["From"], message["Cc"], message["Bcc"]) == ("Alice <alice@example.com>", "dave@example.com", None)
    assert message["Subject"] == "Grüße — 你好"
    assert message.get_content().replace("\r\n", "\n") == "Hällo\n.\n..dots\n" + "x" * 2000 + "\n"
    assert outcome.evidence["message_id"] == identity
    assert outcome.evidence["reply"] == "250 taken"


def test_the_same_task_is_the_same_message(start, inbox):
    """A mailbox can tell a second attempt from a second message."""
    world = context(start())
    for task in (TASK, TASK, Link.of(b"another act")):
        run(world, ALICE, "msg/send", task=task, **MAIL)
    first, again, other = (message["Message-ID"] for _, _, message, _ in inbox.taken)

    assert first == again != other


def test_blocks_are_attached_by_their_cids(start, inbox):
    """Text, its other form, and files whose contents are blocks."""
    blocks = Blocks()
    picture, raw = blocks.put(b"\x89PNG..."), blocks.put(b"\x00\r\n.\r\n\xff")
    world = context(start())
    world.blocks = blocks
    files = [{"cid": picture, "name": "Bild ü.png", "type": "image/png"}, raw]
    run(world, ALICE, "msg/send", **{**MAIL, "value": {"text": "plain", "html": "<b>rich</b>"}}, attachments=files)
    message = inbox.taken[0][2]
    first, second = message.iter_attachments()

    assert message.get_body(("plain",)).get_content().strip() == "plain"
    assert message.get_body(("html",)).get_content().strip() == "<b>rich</b>"
    assert (first.get_filename(), first.get_content_type(), first.get_content()) == (
        "Bild ü.png", "image/png", b"\x89PNG...",
    )  # fmt: skip
    assert (second.get_filename(), second.get_content()) == (str(raw), b"\x00\r\n.\r\n\xff")
    assert first["Content-Location"] == f"ipfs://{picture}"


@pytest.mark.parametrize(
    ("uri", "args", "code"),
    [
        ("mailto:", MAIL, "mail/bad-uri"),
        ("mailto:alice", MAIL, "mail/bad-uri"),
        ("mailto:alice@example.com?subject=x", MAIL, "mail/bad-uri"),
        ("mailto:alice%0d%0aRCPT@example.com", MAIL, "mail/bad-uri"),
        ("mailto:mallory@example.com", MAIL, "mail/not-allowed"),
        (ALICE, {**MAIL, "to": "bob"}, "mail/bad-address"),
        (ALICE, {**MAIL, "to": []}, "mail/no-value"),
        (ALICE, {**MAIL, "to": "bob@example.com\r\nBcc: eve@example.com"}, "mail/bad-address"),
        (ALICE, {**MAIL, "to": "bob@example.com> SIZE=1\r\nRCPT TO:<eve@example.com"}, "mail/bad-address"),
        (ALICE, {**MAIL, "to": '"Bob\r\nBcc: eve@example.com" <bob@example.com>'}, "mail/bad-address"),
        (ALICE, {**MAIL, "to": ["b@example.com"] * 1 + [f"n{n}@example.com" for n in range(100)]}, "mail/bad-address"),
        (ALICE, {**MAIL, "from": "Eve <eve@example.com>"}, "mail/bad-address"),
        (ALICE, {**MAIL, "subject": "x\r\nBcc: eve@example.com"}, "mail/bad-header"),
        (ALICE, {**MAIL, "in_reply_to": "<x@y>\r\nX: y"}, "mail/bad-header"),
        (ALICE, {"to": "bob@example.com"}, "mail/no-value"),
        (ALICE, {**MAIL, "body": "twice"}, "mail/bad-value"),
        (ALICE, {**MAIL, "value": 7}, "mail/bad-value"),
        (ALICE, {**MAIL, "value": {"rtf": "x"}}, "mail/bad-value"),
        (ALICE, {**MAIL, "attachments": ["x"]}, "mail/bad-value"),
        (ALICE, {**MAIL, "attachments": [{"cid": TASK, "name": "a\r\nb"}]}, "mail/bad-value"),
        (ALICE, {**MAIL, "attachments": [{"cid": TASK, "type": "text"}]}, "mail/bad-value"),
        (ALICE, {**MAIL, "attachments": [TASK]}, "mail/block"),
        (ALICE, {**MAIL, "value": "x" * 200_000}, "mail/too-large"),
    ],
)
def test_what_must_not_be_sent_is_not_sent(start, inbox, uri, args, code):
    """Malformed addresses, injected headers, strangers' mailboxes, missing and wrong values, too much of anything."""
    world = context(start(), max_bytes=100_000)
    with pytest.raises(EffectError) as refused:
        find(ALICE, "msg/send").run(world, call_of(uri, "msg/send", **args))

    assert (refused.value.code, refused.value.fault, refused.value.sent) == (code, "requestor", False)
    assert inbox.taken == []


def test_a_receiver_that_is_refused_keeps_it_from_all(start, inbox):
    """Everybody or nobody: the error names who was refused, and with what words; nothing was sent."""
    inbox.answers = {"carol@example.com": "550 no such user", "dave@example.com": "553 not here"}
    receivers = ["bob@example.com", "carol@example.com", "dave@example.com"]
    outcome = run(context(start()), ALICE, "msg/send", **{**MAIL, "to": receivers})

    assert (outcome.out["error"]["code"], outcome.out["error"]["fault"]) == ("mail/refused", "requestor")
    assert "carol@example.com (550 no such user)" in outcome.out["error"]["message"]
    assert "dave@example.com" in outcome.out["error"]["message"]
    assert inbox.taken == []


@pytest.mark.parametrize("where", ["bob@example.com", "DATA"])
def test_a_server_that_wants_it_later_has_not_got_it(start, inbox, where):
    """Greylisting and the like: nothing has happened, and another time may help."""
    inbox.answers = {where: "451 try again later"}
    error = error_of(context(start()), ALICE, "msg/send", **MAIL)

    assert (error.code, error.fault, error.sent, error.transient) == ("mail/later", "world", False, True)
    assert inbox.taken == []


def test_a_message_that_is_refused_at_its_end_was_not_sent(start, inbox):
    """The server heard all of it and said no: that is the outcome."""
    inbox.answers = {"DATA": "554 looks like spam"}
    outcome = run(context(start()), ALICE, "msg/send", **MAIL)

    assert (outcome.out["error"]["code"], outcome.out["error"]["fault"]) == ("mail/rejected", "world")
    assert (outcome.evidence["reply"], inbox.taken) == ("554 looks like spam", [])


def test_a_connection_that_dies_after_the_final_dot_leaves_it_in_doubt(start, inbox):
    """The server has the message, and nobody heard it say so."""
    inbox.answers = {"DATA": None}
    error = error_of(context(start()), ALICE, "msg/send", **MAIL)

    assert (error.code, error.fault, error.sent) == ("mail/cut", "network", True)
    assert len(inbox.taken) == 1


def hang_up(_connection, _done):
    """End the connection."""


def hang(_connection, done):
    """Say nothing any more."""
    done.wait()


def trickle(connection, done):
    """Answer for ever."""
    while not done.wait(0.02):
        connection.sendall(b"250-")


@pytest.mark.parametrize(
    ("word", "then", "code", "sent"),
    [
        (b"EHLO", hang_up, "mail/cut", False),
        (b"RCPT", hang_up, "mail/cut", False),
        (b".\r\n", hang_up, "mail/cut", True),
        (b"EHLO", hang, "mail/timeout", False),
        (b"DATA", trickle, "mail/timeout", False),
        (b".\r\n", hang, "mail/timeout", True),
        (b".\r\n", trickle, "mail/timeout", True),
    ],
)
def test_it_is_known_what_has_happened_where_it_breaks_off(word, then, code, sent):
    """Before the final dot nothing has; after it, it is in doubt. Slow servers end at the deadline."""
    with raw_server(until(word, then)) as address:
        error = error_of(context(address), ALICE, "msg/send", seconds=0.5 if "timeout" in code else 20, **MAIL)

    assert (error.code, error.fault, error.sent) == (code, "network", sent)


def test_a_connection_that_dies_in_the_middle_of_it_has_sent_nothing():
    """A server does not deliver what was not ended."""
    with raw_server(until(b"FROM:", hang_up)) as address:
        error = error_of(context(address), ALICE, "msg/send", **{**MAIL, "value": "x" * 10_000_000})

    assert (error.fault, error.sent) == ("network", False)


def slow_names(monkeypatch, seconds):
    """Have names take some time to be found, which no process can arrange."""
    at_once = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words, **more: time.sleep(seconds) or at_once(*words, **more))


def test_nothing_is_sent_on_a_connection_that_comes_after_the_deadline(monkeypatch):
    """While a name is looked up there is nothing to end: the time is looked at when it has been found."""
    slow_names(monkeypatch, 0.3)
    with raw_server(until(b"QUIT", hang_up)) as address:
        error = error_of(context(address), ALICE, "msg/send", seconds=0.2, **MAIL)

    assert (error.code, error.fault, error.sent) == ("mail/timeout", "network", False)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_handshake_has_the_time_that_is_left(authority, monkeypatch, tls):
    """It ends at the deadline, whatever was used up before it, and nothing is sent behind it."""
    server, ca_file = authority

    def serve(connection, done):
        if tls == "starttls":
            connection.sendall(b"220 hello\r\n250-hello\r\n250 STARTTLS\r\n220 go on\r\n")
            next((line for line in connection.makefile("rb", 0) if line.startswith(b"STARTTLS")), None)
        done.wait(0.3)
        with server.wrap_socket(connection, server_side=True) as inside:
            if tls == "tls":
                inside.sendall(b"220 hello\r\n")
            speak(inside, b"QUIT")

    slow_names(monkeypatch, 0.2)
    with raw_server(serve) as address:
        error = error_of(context(named(address), tls=tls, ca_file=ca_file), ALICE, "msg/send", seconds=0.4, **MAIL)

    assert (error.code, error.fault, error.sent) == ("mail/timeout", "network", False)


@pytest.mark.parametrize(("greeting", "code"), [(b"554 go away\r\n", "mail/rejected"), (b"421 busy\r\n", "mail/later")])
def test_a_server_that_turns_everybody_away_has_got_nothing(greeting, code):
    """At its door, for good or for now."""

    def serve(connection, _done):
        connection.sendall(greeting)

    with raw_server(serve) as address:
        error = error_of(context(address), ALICE, "msg/send", **MAIL)

    assert (error.code, error.fault, error.sent) == (code, "world", False)


def test_a_server_that_is_away_has_got_nothing():
    """Nobody listens."""
    error = error_of(context("127.0.0.1:1"), ALICE, "msg/send", **MAIL)

    assert (error.code, error.fault, error.sent) == ("mail/unreachable", "network", False)


@pytest.fixture
def authority(tmp_path):
    """Return a server's context with a certificate for localhost, and the file of who signed it."""
    signer = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    signer.issue_cert("localhost").configure_cert(server)
    path = tmp_path / "ca.pem"
    signer.cert_pem.write_to_path(path)
    return server, str(path)


def let_in(_server, _session, _envelope, mechanism, data):
    """Let one user in."""
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"ipvm", b"right")
    return AuthResult(success=right and mechanism in ("PLAIN", "LOGIN"), handled=False)


def named(address):
    """Return a server's address by the name in its certificate."""
    return address.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_goes_through_tls_with_a_password(start, inbox, authority, tmp_path, tls):
    """Both ways to begin it; the password comes from a file, and only then."""
    server, ca_file = authority
    Path(tmp_path / "password").write_text("right\n")
    options = {"tls_context": server, "require_starttls": True} if tls == "starttls" else {"ssl_context": server}
    if tls == "tls":
        options["auth_require_tls"] = False  # its own TLS is no STARTTLS, which is what it would ask for
    address = named(start(authenticator=let_in, **options))
    login = {"user": "ipvm", "password_file": str(tmp_path / "password")}
    outcome = run(context(address, tls=tls, ca_file=ca_file, **login), ALICE, "msg/send", **MAIL)

    assert "ok" in outcome.out
    assert tls == "tls" or inbox.taken[0][3]


def test_a_wrong_password_is_the_runners_fault(start, inbox, authority):
    """Nothing was sent, and the password is not in the error."""
    server, ca_file = authority
    address = named(start(authenticator=let_in, auth_required=True, tls_context=server))
    wrong = context(address, tls="starttls", ca_file=ca_file, user="ipvm", password="canary-password")  # noqa: S106
    error = error_of(wrong, ALICE, "msg/send", **MAIL)

    assert (error.code, error.fault, error.sent, inbox.taken) == ("mail/auth", "runner", False, [])
    assert "canary" not in error.message


def test_tls_is_verified_and_insisted_on(start, inbox, authority):
    """An authority nobody knows, another name, and a server that offers none: nothing is sent in the open."""
    server, ca_file = authority
    secure = start(tls_context=server)
    errors = [
        error_of(context(named(secure), tls="starttls"), ALICE, "msg/send", **MAIL),
        error_of(context(secure, tls="starttls", ca_file=ca_file), ALICE, "msg/send", **MAIL),
        error_of(context(named(start()), tls="starttls", ca_file=ca_file), ALICE, "msg/send", **MAIL),
    ]

    assert [(error.code, error.fault, error.sent) for error in errors] == [("mail/tls", "world", False)] * 3
    assert inbox.taken == []


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ({}, "server"),
        ({"server": "example.com:99999"}, "smtp.server"),
        ({"server": "mail.example.com", "tls": "none"}, "loopback"),
        ({"server": "mail.example.com", "user": "x"}, "password"),
        ({"server": "mail.example.com", "user": "x", "password_file": "/nowhere"}, "password_file"),
        ({"server": "mail.example.com", "timeout": 0}, "smtp.timeout"),
    ],
)
def test_a_wrong_configuration_is_the_runners_fault(table, names):
    """The field is named."""
    error = error_of(Given({"smtp": table}), ALICE, "msg/send", **MAIL)

    assert (error.code, error.fault, error.sent) == ("mail/bad-config", "runner", False)
    assert names in error.message


def test_a_job_is_checked_when_it_is_submitted():
    """What cannot be sent does not reach a worker."""
    assert "no mail address" in next(check("mailto:alice", "msg/send", MAIL))
    assert next(check(ALICE, "msg/send", {"value": "x"})) == "needs 'to'"
    assert next(check(ALICE, "msg/send", {"to": "bob@example.com"})) == "needs 'value', the text"
    assert list(check("mailto://alice@example.com", "msg/send", {"to": "bob@example.com", "body": "Hello"})) == []


def test_one_mailbox_is_one_resource():
    """Messages from one mailbox wait for each other."""
    resource = find(ALICE, "msg/send").resource

    assert {resource(Given({}), call_of(uri, "msg/send")) for uri in (ALICE, "mailto://Alice@EXAMPLE.com")} == {
        "mailto:alice@example.com"
    }
