"""The witnesses of a storm: an HTTP, an SMTP and a DNS server outside of everything, each of which counts acts.

Workers reach them through proxies, by a handler of the tests' own and by those of `http:`, `mailto:`
and `dns:`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

import dns.tsig
from dns_sink import ZONE, DnsSink
from mail_sink import MailSink
from proxy import Proxy
from sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

_SECRET: Final = b64encode(bytes(range(32))).decode()
_KINDS: Final = ("witness", "http", "mailto", "dns")
_ABILITIES: Final = ("act", "trace", "once", "alone")


class Witnesses:
    """All of them. `before` and `after` are called around the counting of each act."""

    def __init__(self, before: Callable[[str], None], after: Callable[[str], None]) -> None:
        self._web, self._mail, self._dns = Sink(), MailSink(), DnsSink(dns.tsig.Key("storm", _SECRET, "hmac-sha256"))
        self._sinks = self._web, self._mail, self._dns
        for sink in self._sinks:
            sink.before, sink.after = before, after
        ports = {"own": self._web.port, "plain": self._web.port, "keyed": self._web.port}
        ports |= {"mail": self._mail.port, "dns": self._dns.port}
        self.proxies = {name: Proxy(port) for name, port in ports.items()}
        self._dns.truncate_on(self.proxies["dns"].port)

    def close(self) -> None:
        """Stop."""
        for each in (*self.proxies.values(), *self._sinks):
            each.close()

    def config(self) -> str:
        """Return the `effects_config` of workers: whom they may reach, and which origin keeps keys."""
        plain, keyed = (f"http://{self._address(name)}" for name in ("plain", "keyed"))
        return f"""
[http]
allow_private = {json.dumps([self._address("plain"), self._address("keyed")])}
[http.origins."{keyed}"]
reconcile = "{keyed}/acts/{{key}}"
[http.origins."{plain}"]
[smtp]
server = "{self._address("mail")}"
tls = "none"
hello = "worker.test"
senders = ["*@{ZONE}"]
[dns.zones]
"{ZONE}" = "{self._address("dns")}"
[dns.tsig]
name = "storm"
secret = "{_SECRET}"
"""

    def act(self, chance: Random, number: int) -> dict[str, Any]:
        """Return an effect that one of them counts, of any kind; `number` is its value."""
        kind = chance.choice(_KINDS)
        asked: dict[str, Any] = getattr(self, f"_by_{kind}")(chance, number)
        return {"type": "ipvm/effect", **asked}

    def _address(self, name: str) -> str:
        return f"127.0.0.1:{self.proxies[name].port}"

    def _by_witness(self, chance: Random, number: int) -> dict[str, Any]:
        kind = chance.choice(_ABILITIES)
        name = f"zone{chance.randrange(3)}" if kind == "alone" else f"{kind}{number}"
        return {"with": f"witness://{self._address('own')}/{name}", "do": f"test/{kind}", "value": number}

    def _by_http(self, chance: Random, number: int) -> dict[str, Any]:
        if chance.random() < 0.5:
            return {"with": f"http://{self._address('plain')}/act/put{number}", "do": "crud/update", "value": number}
        return {"with": f"http://{self._address('keyed')}/act/once-{number}", "do": "crud/create", "value": number}

    def _by_mailto(self, chance: Random, number: int) -> dict[str, Any]:
        sender = f"mailto:sender{chance.randrange(3)}@{ZONE}"
        return {"with": sender, "do": "msg/send", "inputs": {"to": f"all@{ZONE}", "subject": f"{number}", "body": "."}}

    def _by_dns(self, chance: Random, number: int) -> dict[str, Any]:
        """Return a change of a name of its own, by which it is counted."""
        name = f"{chance.randbytes(10).hex()}.{ZONE}"
        ability, old, inputs = chance.choice(
            (("crud/create", "", {}), ("crud/update", "", {}), ("crud/update", "old", {"expect": "old"}),
             ("crud/destroy", "old", {"expect": "old"}))
        )  # fmt: skip
        value = {} if ability == "crud/destroy" else {"value": f"new {number}"}
        return {"with": f"dns:{old}{name}?TYPE=TXT", "do": ability, **value, "inputs": inputs}

    # What they have counted

    def key(self, effect: dict[str, Any], task: str) -> str:
        """Return what the witness of an effect knows it by: its Task, or the name that it changes."""
        uri = effect["with"]
        return uri.partition(":")[2].partition(".")[0] if uri.startswith("dns:") else task

    def count(self, key: str) -> int:
        """Return how often an act was counted."""
        return sum(sink.acts[key] for sink in self._sinks)

    def all(self) -> Iterator[tuple[str, int]]:
        """Give every act that was counted, and how often."""
        for sink in self._sinks:
            yield from list(sink.acts.items())
