"""`crud/read` of DNS records: ask the configured resolvers in turn until one answers (effects 5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype

from ipvm_queue.effects.contract import EffectError, Outcome
from ipvm_queue.effects.dns_answer import answer_of, evidence_of
from ipvm_queue.effects.dns_exchange import ask, question
from ipvm_queue.effects.dns_settings import DnsSettings, Server, read_server, read_settings
from ipvm_queue.effects.dns_uri import DnsUri, read_uri
from ipvm_queue.errors import UsageError
from ipvm_queue.ipld import encode

if TYPE_CHECKING:
    from ipvm_queue.effects.contract import Call, Context
    from ipvm_queue.effects.dns_exchange import Exchange
    from ipvm_queue.ipld import Value

FORMS: Final = ("answer", "records", "text", "dnslink", "did")
_TWICE: Final = 2  # every server gets a second chance: UDP loses packets


def read(context: Context, call: Call) -> Outcome:
    """Read records; `as` picks another form of the value than the whole answer (see `dns_answer`).

    `records`: the list of texts; `text`: the text of TXT records, one each, unquoted; `dnslink`: the one value that
    counts; `did`: the list of DIDs. Raises `dns/…` errors.
    """
    settings = read_settings(context.config("dns"))
    uri = read_uri(call.uri)
    form = call.args.get("as", FORMS[0])
    if form not in FORMS:
        raise EffectError("dns/bad-value", f"'as' is one of {', '.join(FORMS)}", "requestor", sent=False)
    exchange = exchange_of(uri, settings, call.deadline)
    evidence = evidence_of(exchange)
    answer = _answer(uri, exchange, evidence)
    value = _in_form(answer, form, uri, evidence)
    if (size := len(encode(value))) > call.max_bytes:
        message = f"the answer has {size} bytes; at most {call.max_bytes} were asked for"
        raise EffectError("dns/too-large", message, "requestor", evidence=evidence, sent=False)
    return Outcome({"ok": value}, evidence)


def exchange_of(uri: DnsUri, settings: DnsSettings, deadline: float) -> Exchange:
    """Ask the servers in turn, all of them twice at most, until one of them knows."""
    servers = _servers(uri, settings)
    query = question(uri.name, uri.type)
    last: EffectError | None = None
    for server in servers * _TWICE:
        try:
            exchange = ask(query, server, deadline, settings.timeout)
        except EffectError as error:
            last = last or error
            if not error.transient:
                raise
            continue
        rcode = exchange.reply.rcode()
        if rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return exchange
        last = _refused(exchange, uri)
    raise last or EffectError(
        "dns/not-configured", "this worker knows no DNS resolver ([dns] resolver)", "runner", sent=False
    )


def _servers(uri: DnsUri, settings: DnsSettings) -> tuple[Server, ...]:
    if uri.server is None:
        return settings.resolvers
    try:
        server = read_server(uri.server, "the server in the URI")
    except UsageError as error:
        raise EffectError("dns/bad-uri", f"{error.message} ({error.hint})", "requestor", sent=False) from None
    if server not in settings.servers and server not in settings.resolvers:
        message = f"this worker does not ask {server}: its operator lists the servers that a URI may name"
        raise EffectError("dns/not-allowed", message, "requestor", sent=False)
    return (server,)


def _refused(exchange: Exchange, uri: DnsUri) -> EffectError:
    rcode = exchange.reply.rcode()
    word = dns.rcode.to_text(rcode)
    code = {dns.rcode.SERVFAIL: "dns/servfail", dns.rcode.REFUSED: "dns/refused"}.get(rcode, "dns/error")
    message = f"{exchange.server} answered {word} for {uri.name}"
    transient = rcode == dns.rcode.SERVFAIL
    return EffectError(code, message, "world", evidence=evidence_of(exchange), transient=transient, sent=False)


def _answer(uri: DnsUri, exchange: Exchange, evidence: dict[str, Value]) -> dict[str, Value]:
    kind = dns.rdatatype.to_text(uri.type)
    reply = exchange.reply
    if reply.rcode() == dns.rcode.NXDOMAIN:
        raise EffectError("dns/nxdomain", f"{uri.name} does not exist", "world", evidence=evidence, sent=False)
    try:
        chain = reply.resolve_chaining()  # type: ignore[attr-defined]
    except dns.exception.DNSException as error:
        message = f"{exchange.server} answered what makes no sense: {error}"
        raise EffectError("dns/bad-answer", message, "world", evidence=evidence, sent=False) from None
    if chain.answer is None:
        message = f"{uri.name} has no {kind} records"
        raise EffectError("dns/no-answer", message, "world", evidence=evidence, sent=False)
    return answer_of(uri.name, chain.canonical_name, chain.answer)


def _in_form(answer: dict[str, Value], form: str, uri: DnsUri, evidence: dict[str, Value]) -> Value:
    if form == "answer":
        return answer
    if form == "text":
        return ["".join(map(str, record.get("strings", ()))) for record in answer["data"]]
    if form == "dnslink":
        if not answer.get(form):
            message = f"{uri.name} has no DNSLink: a TXT record 'dnslink=/…' below _dnslink"
            raise EffectError("dns/no-dnslink", message, "world", evidence=evidence, sent=False)
        return answer[form][0]
    if form == "did" and not answer.get(form):
        message = f"{uri.name} names no DID: a URI record 'did:…' below _did"
        raise EffectError("dns/no-did", message, "world", evidence=evidence, sent=False)
    return answer[form]
