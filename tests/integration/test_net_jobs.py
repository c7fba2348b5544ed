"""DNS, HTTP and mail from a signed job, through a real effect worker, to a real server and back in a receipt."""

from __future__ import annotations

import json

import pytest
from knot import ZONE, Knot
from mailbox_server import Inbox, mail_server
from stack import Stack
from web import Web

pytestmark = [
    pytest.mark.integration,
    # The mail server's own: it looks at its loop in a way that Python will not have for ever.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:aiosmtpd"),
]
EFFECT = "ipvm/effect"


@pytest.fixture(scope="module")
def knot(tmp_path_factory):
    """Return a DNS server."""
    server = Knot(tmp_path_factory.mktemp("knot"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def web():
    """Return a web server."""
    server = Web()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def inbox():
    """Return what a mail server has taken."""
    return Inbox()


@pytest.fixture(scope="module")
def client(tmp_path_factory, knot, web, inbox):
    """Return a client of a queue whose worker may reach these servers and no other."""
    folder = tmp_path_factory.mktemp("net")
    with mail_server(inbox) as mail:
        (folder / "effects.toml").write_text(f"""
[dns]
resolver = "{knot.server}"
[dns.zones]
"{ZONE}" = "{knot.server}"
[dns.tsig]
name = "{knot.config()["tsig"]["name"]}"
secret = "{knot.config()["tsig"]["secret"]}"
[http]
allow_private = ["{web.address}"]
timeout = 10
[http.origins."{web.url}"]
headers = {{ Authorization = "Bearer operator" }}
reconcile = "{web.url}/acts/{{key}}"
[smtp]
server = "{mail}"
tls = "none"
senders = ["jobs@example.com"]
""")
        stack = Stack(folder / "stack", aof=True, effects_config=folder / "effects.toml")
        try:
            stack.start_valkey()
            stack.start_worker("w", "-P", "prefork", "-c", "2", program="ipvm_queue.worker")
            with stack.client() as client:
                yield client
        finally:
            stack.stop()


def effect(uri, ability, **inputs):
    """Return an effect job."""
    return {"type": EFFECT, "with": uri, "do": ability, "inputs": inputs}


def test_a_dnslink_is_read_changed_and_read_again(client):
    """The effects notes' own example, and the change it stands for; the receipts have the servers' answers."""
    uri = f"dns://_dnslink.job.{ZONE}?TYPE=TXT"
    made = client.submit({"make": effect(uri, "crud/create", value="dnslink=/ipfs/one")}).wait(60)
    jobs = {
        "before": effect(uri, "crud/read", **{"as": "dnslink"}),
        "change": effect(uri, "crud/update", value="dnslink=/ipfs/two", expect="dnslink=/ipfs/one"),
    }
    changed = client.submit(jobs).wait(60)
    after = client.submit({"after": effect(uri, "crud/read", **{"as": "dnslink"})}).wait(60)
    again = client.submit({"make": effect(uri, "crud/create", value="dnslink=/ipfs/three")}).wait(60)

    assert (made.status, changed.status, after.status) == ("ok", "ok", "ok")
    assert (changed["before"].ok, after["after"].ok) == ("/ipfs/one", "/ipfs/two")
    evidence = after["after"].meta["evidence"]
    assert (evidence["aa"], evidence["rcode"], evidence["transport"]) == (True, "NOERROR", "udp")
    assert changed["change"].meta["evidence"]["transport"] == "tcp"
    assert again["make"].error["code"] == "dns/prerequisite"


def test_a_page_is_found_by_dns_read_and_told_on(client, web):
    """A URL that a TXT record holds is the next step's `with`; what is there goes on by POST, once."""
    web.routes["/page"] = 200, {"Content-Type": "application/json"}, json.dumps({"n": 1}).encode()
    web.routes[("POST", "/told")] = 201, {"Content-Type": "text/plain"}, b"thanks"
    name = f"dns:page.{ZONE}?TYPE=TXT"
    client.submit({"make": effect(name, "crud/create", value=f"{web.url}/page")}).wait(60)
    document = client.read(
        {
            "header": {"nonce": "once"},
            "jobs": {
                "where": effect(name, "crud/read", **{"as": "text"}),
                "page": {**effect("", "crud/read"), "with": {"from": "where", "out": 0}},
                "tell": effect(f"{web.url}/told", "crud/create", value={"page": {"from": "page"}}),
            },
        }
    )
    first, second = client.submit(document).wait(60), client.submit(document).wait(60)
    told = [request for request in web.requests if request[:2] == ("POST", "/told")]

    assert (first.status, first["page"].ok["body"]) == ("ok", {"n": 1})
    assert first["tell"].ok["body"] == "thanks"
    assert len(told) == 1
    assert first["tell"].receipt == second["tell"].receipt
    assert told[0][2]["idempotency-key"].startswith("bafyrei")
    assert told[0][2]["authorization"] == "Bearer operator"
    assert json.loads(told[0][3])["page"]["body"] == {"n": 1}
    assert first["tell"].meta["evidence"]["peer"] == web.address


def test_a_message_is_sent_once_with_its_attachment(client, inbox):
    """The same signed job twice is one message."""
    cid = client.blocks.put(b"%PDF")
    mail = effect(
        "mailto:jobs@example.com", "msg/send", to="bob@example.com", subject="Report", body="See there.",
        attachments=[{"cid": cid, "name": "r.pdf", "type": "application/pdf"}],
    )  # fmt: skip
    document = client.read({"header": {"nonce": "mail"}, "jobs": {"mail": mail}})
    runs = [client.submit(document).wait(60) for _ in range(2)]
    ((_, receivers, message, _),) = inbox.taken

    assert [run.status for run in runs] == ["ok", "ok"]
    assert runs[0]["mail"].ok == {"message_id": message["Message-ID"], "accepted": ["bob@example.com"]}
    assert message["Message-ID"] == f"<{runs[0]['mail'].task}@example.com>"
    assert receivers == ["bob@example.com"]
    assert next(message.iter_attachments()).get_content() == b"%PDF"


def test_refusals_reach_the_receipt_with_whose_fault_they_are(client, web, inbox):
    """NXDOMAIN, 404, a private address, a mailbox that is not the job's, a receiver that does not exist."""
    inbox.answers["nobody@example.com"] = "550 no such user"
    jobs = {
        "name": effect(f"dns:nothing.{ZONE}", "crud/read"),
        "page": effect(f"{web.url}/nothing", "crud/read"),
        "inside": effect("http://127.0.0.1:1/", "crud/read"),
    }
    asked = client.submit(jobs).wait(60)
    stranger = client.submit({"a": effect("mailto:ceo@example.com", "msg/send", to="b@example.com", body="x")}).wait(60)
    nobody = client.submit(
        {"a": effect("mailto:jobs@example.com", "msg/send", to="nobody@example.com", body="x")}
    ).wait(60)
    errors = [asked["name"].error, asked["page"].error, asked["inside"].error, stranger["a"].error, nobody["a"].error]

    assert [(error["code"], error["fault"]) for error in errors] == [
        ("dns/nxdomain", "world"),
        ("http/status", "requestor"),
        ("http/private-address", "requestor"),
        ("mail/not-allowed", "requestor"),
        ("mail/refused", "requestor"),
    ]
    assert "no such user" in nobody["a"].error["message"]


def test_a_lost_answer_is_asked_for_by_its_key(client, web):
    """The server did it and hung up; its address for acts says so, and the run goes on as if it had answered."""
    done = {}

    def hang_up(_path, _body):
        key = web.requests[-1][2]["idempotency-key"]
        web.routes[f"/acts/{key}"] = 200, {"Content-Type": "application/json"}, b'{"order":7}'
        done[key] = done.get(key, 0) + 1
        return 502, {}, b""

    web.routes[("POST", "/orders")] = hang_up
    run = client.submit({"order": effect(f"{web.url}/orders", "crud/create", value={"n": 1})}).wait(60)

    assert (run.status, run["order"].ok["body"]) == ("ok", {"order": 7})
    assert run["order"].meta["reconciled"]
    assert list(done.values()) == [1]


def test_what_nobody_knows_is_in_doubt(client, inbox):
    """A mail server that hangs up after the final dot: nobody can be asked, and it is not sent again."""
    inbox.answers["DATA"] = None
    try:
        before = len(inbox.taken)
        mail = effect("mailto:jobs@example.com", "msg/send", to="bob@example.com", body="Once.")
        document = client.read({"header": {"nonce": "doubt"}, "jobs": {"mail": mail}})
        run = client.submit(document).wait(60)
    finally:
        del inbox.answers["DATA"]
    again = client.submit(document).wait(60)

    assert (run.status, again.status) == ("in-doubt", "in-doubt")
    assert run["mail"].error["code"] == "effect/in-doubt"
    assert len(inbox.taken) == before + 1
