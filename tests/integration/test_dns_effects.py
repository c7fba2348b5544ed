"""DNS against a real authoritative server: reading, changing, reading back, and everything that can go wrong."""

from __future__ import annotations

import socket
from contextlib import closing, contextmanager, nullcontext
from threading import Thread

import dns.flags
import dns.message
import dns.rcode
import dns.tsig
import pytest
from handlers import Given, error_of, reconcile, run
from knot import BROKEN, KEY_NAME, OTHER_SECRET, SECRET, ZONE, Knot
from web import raw_server

from ipvm_queue.effects import NotDoneError

pytestmark = pytest.mark.integration
EMPTY = {"dns": {"resolver": "127.0.0.1:1", "timeout": 0.5}}


@pytest.fixture(scope="module")
def knot(tmp_path_factory):
    """Return a running server with the zone of `knot.py`."""
    server = Knot(tmp_path_factory.mktemp("knot"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def world(knot):
    """Return a context that reads from the server and may change its zone."""
    return Given({"dns": knot.config()})


def name(label, kind):
    """Return the URI of a name in the zone."""
    return f"dns:{label}.{ZONE}?TYPE={kind}"


def test_addresses_are_read_in_order_with_their_fields(world):
    """The value lists records as text and by field, in the same order whatever the server shuffles."""
    outcome = run(world, name("www", "A"), "crud/read")

    assert outcome.out == {
        "ok": {
            "name": f"www.{ZONE}.",
            "type": "A",
            "ttl": 300,
            "records": ["192.0.2.1", "192.0.2.2"],
            "data": [{"address": "192.0.2.1"}, {"address": "192.0.2.2"}],
        }
    }


def test_the_evidence_says_who_answered_and_how(world, knot):
    """Server, transport, flags, smallest lifetime, and the very message, which parses to the same records."""
    evidence = run(world, name("www", "A"), "crud/read").evidence

    assert (evidence["server"], evidence["transport"], evidence["rcode"]) == (knot.server, "udp", "NOERROR")
    assert (evidence["aa"], evidence["ad"], evidence["ttl"]) == (True, False, 300)
    assert len(dns.message.from_wire(evidence["message"]).answer[0]) == 2


@pytest.mark.parametrize(
    ("label", "kind", "records", "first"),
    [
        ("www", "AAAA", ["2001:db8::1"], {"address": "2001:db8::1"}),
        ("alias", "CNAME", [f"www.{ZONE}."], {"target": f"www.{ZONE}."}),
        ("_sip._tcp", "SRV", [f"1 2 5060 sip.{ZONE}."],
         {"priority": 1, "weight": 2, "port": 5060, "target": f"sip.{ZONE}."}),
        ("raw", "TXT", ['"\\255\\000"'], {"strings": [b"\xff\x00"]}),
    ],
)  # fmt: skip
def test_every_type_is_read(world, label, kind, records, first):
    """A record's text is as in a zone file, its fields are named as its RFC names them."""
    answer = run(world, name(label, kind), "crud/read").out["ok"]

    assert (answer["records"], answer["data"][0]) == (records, first)


def test_an_alias_is_followed(world):
    """The records are the canonical name's, and the value says which that is."""
    answer = run(world, name("alias", "A"), "crud/read").out["ok"]

    assert (answer["name"], answer["records"]) == (f"www.{ZONE}.", ["192.0.2.1", "192.0.2.2"])


def test_a_dnslink_is_a_value(world):
    """TXT records below _dnslink give their DNSLink values, and `as` gives the one that counts."""
    uri = f"dns://_dnslink.{ZONE}?TYPE=TXT"
    links = ["/ipfs/bafkqaaa", f"/ipns/{ZONE}"]

    assert run(world, uri, "crud/read").out["ok"]["dnslink"] == links
    assert run(world, uri, "crud/read", **{"as": "dnslink"}).out == {"ok": links[0]}


def test_a_did_is_a_value(world):
    """URI records below _did give DIDs, the one with the lowest priority number first (did:dns)."""
    dids = ["did:key:zFirst", "did:key:zSecond"]

    assert run(world, f"dns://_key1._did.{ZONE}?TYPE=URI", "crud/read", **{"as": "did"}).out == {"ok": dids}


def test_a_long_answer_comes_over_tcp(world):
    """What does not fit a datagram is asked for again over TCP."""
    outcome = run(world, name("big", "TXT"), "crud/read", **{"as": "text"})

    assert (outcome.evidence["transport"], len(outcome.out["ok"])) == ("tcp", 40)


def test_an_answer_that_is_too_large_is_refused(world):
    """A task's limit on what it takes in holds for DNS too (E14)."""
    error = error_of(world, name("big", "TXT"), "crud/read", max_bytes=1000)

    assert (error.code, error.fault) == ("dns/too-large", "requestor")


@pytest.mark.parametrize(
    ("uri", "code", "fault"),
    [
        (name("nothing", "A"), "dns/nxdomain", "world"),
        (name("www", "MX"), "dns/no-answer", "world"),
        ("dns:example.com?TYPE=A", "dns/refused", "world"),
        (f"dns:{ZONE}?TYPE=ABC", "dns/bad-uri", "requestor"),
        (f"dns://192.0.2.7/{ZONE}", "dns/not-allowed", "requestor"),
        (f"dns://localhost/{ZONE}", "dns/bad-uri", "requestor"),
    ],
)
def test_a_read_without_an_answer_says_whose_fault_it_is(world, uri, code, fault):
    """Each way to fail has its own code; none of them changed anything."""
    error = error_of(world, uri, "crud/read")

    assert (error.code, error.fault, error.sent) == (code, fault, False)


def test_a_server_that_fails_may_do_better_another_time(world):
    """SERVFAIL is the world's fault: a read is worth another try, a change is in doubt."""
    asked = error_of(world, f"dns:x.{BROKEN}", "crud/read")
    told = error_of(world, f"dns:x.{BROKEN}", "crud/create", value="192.0.2.1")

    assert (asked.code, asked.fault, asked.transient, asked.sent) == ("dns/servfail", "world", True, False)
    assert (told.code, told.fault, told.sent) == ("dns/servfail", "world", True)
    assert reconcile(world, f"dns:x.{BROKEN}", "crud/create", value="192.0.2.1") is None


def test_a_name_without_a_link_says_so(world):
    """`as` asks for more than records: that it is not there is an error of its own."""
    assert error_of(world, name("www", "A"), "crud/read", **{"as": "dnslink"}).code == "dns/no-dnslink"
    assert error_of(world, name("www", "A"), "crud/read", **{"as": "did"}).code == "dns/no-did"


def test_a_silent_server_is_a_timeout_and_worth_another_try():
    """A server that takes questions and says nothing: the network's fault, and the query may be retried."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as silent:
        silent.bind(("127.0.0.1", 0))
        context = Given({"dns": {"resolver": f"127.0.0.1:{silent.getsockname()[1]}", "timeout": 0.2}})
        error = error_of(context, "dns:example.com", "crud/read")

    assert (error.code, error.fault, error.transient) == ("dns/timeout", "network", True)


def test_the_next_server_is_asked_when_one_is_away(knot):
    """The first server that answers is the one whose answer counts."""
    context = Given({"dns": {**knot.config(), "resolver": ["127.0.0.1:1", knot.server]}})

    assert run(context, name("www", "AAAA"), "crud/read").evidence["server"] == knot.server


def test_a_server_may_be_named_where_the_operator_listed_it(knot):
    """`dns://SERVER/NAME` asks that server (RFC 4501)."""
    context = Given({"dns": {"resolver": "127.0.0.1:1", "servers": [knot.server]}})
    outcome = run(context, f"dns://{knot.server}/www.{ZONE}?TYPE=AAAA", "crud/read")

    assert outcome.out["ok"]["records"] == ["2001:db8::1"]


def test_records_are_made_changed_and_taken_away(world):
    """The life of a name by the three commands, each seen by a read after it."""
    uri = name("life", "A")
    made = run(world, uri, "crud/create", value="192.0.2.10", ttl=60)
    first = run(world, uri, "crud/read").out["ok"]
    run(world, uri, "crud/update", value=["192.0.2.11", "192.0.2.12"])
    second = run(world, uri, "crud/read").out["ok"]
    gone = run(world, uri, "crud/destroy")

    assert made.out["ok"] == {
        "name": f"life.{ZONE}.", "type": "A", "zone": f"{ZONE}.", "ttl": 60, "records": ["192.0.2.10"]
    }  # fmt: skip
    assert (first["records"], first["ttl"]) == (["192.0.2.10"], 60)
    assert second["records"] == ["192.0.2.11", "192.0.2.12"]
    assert gone.out["ok"]["records"] == []
    assert error_of(world, uri, "crud/read").code == "dns/nxdomain"


def test_a_text_may_be_of_any_length(world):
    """A TXT value is the text itself: it is quoted and cut into strings on the way, and joined again by `as: text`."""
    uri, text = name("long", "TXT"), 'a "quoted" text; with ends ' * 30
    run(world, uri, "crud/update", value=text)

    assert run(world, uri, "crud/read", **{"as": "text"}).out == {"ok": [text]}


def test_a_dnslink_is_changed_only_from_what_was_expected(world):
    """Compare and set: of two writers who saw the same value, one wins and the other is told."""
    uri = name("_dnslink.cas", "TXT")
    run(world, uri, "crud/create", value="dnslink=/ipfs/one")
    won = run(world, uri, "crud/update", value="dnslink=/ipfs/two", expect="dnslink=/ipfs/one")
    lost = run(world, uri, "crud/update", value="dnslink=/ipfs/three", expect="dnslink=/ipfs/one")

    assert "ok" in won.out
    assert (lost.out["error"]["code"], lost.out["error"]["fault"]) == ("dns/prerequisite", "world")
    assert run(world, uri, "crud/read", **{"as": "dnslink"}).out == {"ok": "/ipfs/two"}


def test_conditions_that_do_not_hold_are_outcomes(world):
    """Making what is there, taking away what is not, updating what should not be there: nothing changes."""
    there, away = name("www", "A"), name("absent", "A")
    outcomes = [
        run(world, there, "crud/create", value="192.0.2.99"),
        run(world, away, "crud/destroy"),
        run(world, there, "crud/destroy", expect="192.0.2.1"),
        run(world, there, "crud/update", value="192.0.2.99", expect=None),
    ]

    assert [outcome.out["error"]["code"] for outcome in outcomes] == ["dns/prerequisite"] * 4
    assert run(world, there, "crud/read").out["ok"]["records"] == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize(
    ("uri", "args", "code"),
    [
        (name("x", "A"), {"value": "12.345.67.890"}, "dns/bad-value"),
        (name("x", "MX"), {"value": "mail"}, "dns/bad-value"),
        (name("x", "SOA"), {"value": "a b 1 2 3 4 5"}, "dns/bad-type"),
        ("dns:elsewhere.example?TYPE=A", {"value": "192.0.2.1"}, "dns/not-allowed"),
        (f"dns://127.0.0.1/x.{ZONE}?TYPE=A", {"value": "192.0.2.1"}, "dns/bad-uri"),
    ],
)
def test_a_change_that_cannot_be_is_not_sent(world, uri, args, code):
    """A wrong address (the effects notes' own example is one), type, zone or URI is the requestor's, and not sent."""
    error = error_of(world, uri, "crud/update", **args)

    assert (error.code, error.fault, error.sent) == (code, "requestor", False)


@pytest.mark.parametrize(("secret", "key"), [(OTHER_SECRET, "ipvm"), (SECRET, "stranger")])
def test_a_wrong_key_is_the_runners_and_changes_nothing(knot, world, secret, key):
    """A server that does not accept our signature has not changed its zone."""
    context = Given({"dns": knot.config(secret, key)})
    error = error_of(context, name("forged", "A"), "crud/update", value="192.0.2.66")

    assert (error.code, error.fault, error.sent) == ("dns/tsig", "runner", False)
    assert error_of(world, name("forged", "A"), "crud/read").code == "dns/nxdomain"


def test_an_unsigned_change_is_refused(knot):
    """Without a key the server refuses, and its refusal is the outcome."""
    config = knot.config()
    del config["tsig"]
    outcome = run(Given({"dns": config}), name("unsigned", "A"), "crud/update", value="192.0.2.66")

    assert outcome.out["error"]["code"] in ("dns/refused", "dns/not-authoritative")
    assert outcome.out["error"]["fault"] == "runner"


def test_a_zone_that_the_server_does_not_have_is_the_runners_fault(knot):
    """The configuration says that a server has a zone, the server says that it has not."""
    config = {**knot.config(), "zones": {"other.test": knot.server}}
    outcome = run(Given({"dns": config}), "dns:x.other.test?TYPE=A", "crud/update", value="192.0.2.1")

    assert outcome.out["error"]["fault"] == "runner"


def test_a_primary_that_is_away_has_changed_nothing(knot):
    """Nobody listens: the change was not sent."""
    config = {**knot.config(), "zones": {ZONE: "127.0.0.1:1"}}
    error = error_of(Given({"dns": config}), name("x", "A"), "crud/update", value="192.0.2.1")

    assert (error.code, error.fault, error.sent) == ("dns/unreachable", "network", False)


def test_a_primary_that_does_not_answer_leaves_the_change_in_doubt(knot):
    """It took the connection and the bytes, so the change may have happened."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        config = {**knot.config(), "timeout": 0.3, "zones": {ZONE: f"127.0.0.1:{silent.getsockname()[1]}"}}
        error = error_of(Given({"dns": config}), name("x", "A"), "crud/update", value="192.0.2.1")

    assert (error.code, error.fault, error.sent, error.transient) == ("dns/timeout", "network", True, False)


def test_a_connection_that_is_cut_leaves_the_change_in_doubt(knot, cutter):
    """The server hung up after it had the whole message."""
    config = {**knot.config(), "zones": {ZONE: cutter}}
    error = error_of(Given({"dns": config}), name("x", "A"), "crud/update", value="192.0.2.1")

    assert (error.code, error.sent) == ("dns/cut", True)


@pytest.fixture
def cutter():
    """Return the address of a server that reads a whole DNS message and hangs up."""

    def serve(connection, _done):
        size = int.from_bytes(connection.recv(2))
        while size > 0:
            size -= len(connection.recv(size))

    with raw_server(serve) as address:
        yield address


def test_doubt_is_settled_by_reading_back(world):
    """What is there as wanted has happened; what is there as before has not; anything else stays in doubt."""
    uri = name("doubt", "A")
    with pytest.raises(NotDoneError):
        reconcile(world, uri, "crud/create", value="192.0.2.20")
    run(world, uri, "crud/create", value="192.0.2.20")
    done = reconcile(world, uri, "crud/create", value="192.0.2.20")

    assert (done.out["ok"]["records"], done.evidence["reconciled"]) == (["192.0.2.20"], "read-back")
    assert reconcile(world, uri, "crud/update", value="192.0.2.21") is None
    assert reconcile(world, uri, "crud/destroy") is None
    with pytest.raises(NotDoneError):
        reconcile(world, uri, "crud/update", value="192.0.2.21", expect="192.0.2.20")
    run(world, uri, "crud/destroy")
    assert reconcile(world, uri, "crud/destroy").out["ok"]["records"] == []


def test_a_change_without_a_condition_is_not_taken_for_undone(world):
    """It may have happened, and somebody else have changed it again."""
    assert reconcile(world, name("unconditional", "A"), "crud/update", value="192.0.2.1") is None


@pytest.mark.parametrize("flags", [0, dns.flags.AA])
def test_only_the_zones_own_server_settles_doubt(knot, flags):
    """Whoever only heard of the zone may have heard it before the change."""

    def answer(asked):
        reply = dns.message.make_response(asked)
        reply.flags |= flags
        reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()

    with impostor(answer) as address:
        context = Given({"dns": {**knot.config(), "zones": {ZONE: address}}})
        with nullcontext() if flags == 0 else pytest.raises(NotDoneError):
            assert reconcile(context, name("x", "A"), "crud/create", value="192.0.2.1") is None


def unsigned(asked):
    """Say that all is well, and do not sign it."""
    return dns.message.make_response(asked).to_wire()


def missigned(asked):
    """Say that all is well, signed with another key."""
    reply = dns.message.make_response(asked)
    reply.use_tsig(dns.tsig.Key(KEY_NAME, OTHER_SECRET, "hmac-sha256"))
    reply.request_mac = asked.mac
    return reply.to_wire()


def other(asked):
    """Answer another message."""
    asked.id ^= 1
    return unsigned(asked)


def noise(_asked):
    """Answer with what is no message."""
    return b"\0" * 5


@pytest.mark.parametrize(
    ("answer", "code"),
    [(unsigned, "dns/tsig"), (missigned, "dns/tsig"), (other, "dns/bad-answer"), (noise, "dns/bad-answer")],
)
def test_an_answer_that_is_not_proved_leaves_the_change_in_doubt(knot, answer, code):
    """Whoever said it may not be the server, and the change may have happened."""
    with impostor(answer) as address:
        context = Given({"dns": {**knot.config(), "zones": {ZONE: address}}})
        error = error_of(context, name("x", "A"), "crud/update", value="192.0.2.1")

    assert (error.code, error.fault, error.sent) == (code, "world", True)


@contextmanager
def impostor(answer):
    """Run a DNS server, over UDP and TCP at one port, that answers as `answer` says; give its address."""

    def serve(connection, _done):
        size = int.from_bytes(connection.recv(2))
        asked = b""
        while len(asked) < size:
            asked += connection.recv(size - len(asked))
        reply = answer(dns.message.from_wire(asked, keyring=False))
        connection.sendall(len(reply).to_bytes(2) + reply)

    with raw_server(serve) as address, closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as datagrams:
        datagrams.bind(("127.0.0.1", int(address.rpartition(":")[2])))

        def listen():
            while True:
                asked, client = datagrams.recvfrom(65535)
                if not asked:
                    return
                datagrams.sendto(answer(dns.message.from_wire(asked)), client)

        thread = Thread(target=listen)
        thread.start()
        try:
            yield address
        finally:
            datagrams.sendto(b"", datagrams.getsockname())
            thread.join()


def test_doubt_stays_when_the_server_is_away(knot):
    """Nothing is concluded from silence."""
    config = {**knot.config(), "timeout": 0.2, "zones": {ZONE: "127.0.0.1:1"}}

    assert reconcile(Given({"dns": config}), name("x", "A"), "crud/create", value="192.0.2.1") is None


def test_a_wrong_configuration_is_the_runners_fault():
    """A resolver that is no address is found when it is needed, and named."""
    error = error_of(Given({"dns": {"resolver": "nonsense"}}), "dns:example.com", "crud/read")

    assert (error.code, error.fault, error.sent) == ("dns/bad-config", "runner", False)
    assert "nonsense" in error.message
