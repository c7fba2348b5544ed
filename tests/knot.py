"""A real authoritative DNS server for tests: knot on a free port, its zone changed by signed updates."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from base64 import b64encode
from typing import TYPE_CHECKING

import dns.message
import dns.query
import pytest

from ipvm_queue.embedded.group import Group

if TYPE_CHECKING:
    from pathlib import Path

ZONE = "example.test"
BROKEN = "broken.test"  # a zone that it has and cannot load
KEY_NAME = "ipvm"
SECRET = b64encode(bytes(range(32))).decode()
OTHER_SECRET = b64encode(bytes(32)).decode()
RECORDS = """
@           3600 SOA   ns hostmaster 1 3600 900 604800 300
@           3600 NS    ns
ns          3600 A     127.0.0.1
www          300 A     192.0.2.2
www          300 A     192.0.2.1
www          300 AAAA  2001:db8::1
alias        300 CNAME www
@            300 MX    10 mail
_sip._tcp    300 SRV   1 2 5060 sip
@            300 TXT   "v=spf1 -all"
_dnslink     300 TXT   "dnslink=/ipfs/bafkqaaa"
_dnslink     300 TXT   "dnslink=/ipns/example.test"
_dnslink     300 TXT   "something else"
_key1._did   300 URI   20 1 "did:key:zSecond"
_key1._did   300 URI   10 1 "did:key:zFirst"
_key1._did   300 URI   5 1 "https://example.test"
raw          300 TXT   "\\255\\000"
"""
CONFIG = """
server:
    listen: 127.0.0.1@{port}
    rundir: {directory}
    user: {user}
log:
  - target: stderr
    any: warning
database:
    storage: {directory}
key:
  - id: {key}
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: change
    key: {key}
    action: update
zone:
  - domain: {zone}
    storage: {directory}
    file: zone.txt
    acl: change
  - domain: {broken}
    storage: {directory}
    file: nowhere.txt
    acl: change
"""


class Knot:
    """The server; `stop` and `start` keep the zone's journal."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        big = "".join(f'big 300 TXT "{number:03} {"x" * 200}"\n' for number in range(40))
        (directory / "zone.txt").write_text(f"$ORIGIN {ZONE}.\n{RECORDS}{big}")
        user = f"{_owner(directory)}"
        config = CONFIG.format(
            port=self.port, directory=directory, user=user, key=KEY_NAME, secret=SECRET, zone=ZONE, broken=BROKEN
        )
        (directory / "knot.conf").write_text(config)
        self._group: Group | None = None

    @property
    def server(self) -> str:
        """Where it answers, as settings have it."""
        return f"127.0.0.1:{self.port}"

    def config(self, secret: str = SECRET, name: str = KEY_NAME) -> dict[str, object]:
        """Return the table `[dns]` that reads from it and may change its zone."""
        tsig = {"name": name, "secret": secret, "algorithm": "hmac-sha256"}
        return {
            "resolver": self.server,
            "timeout": 5.0,
            "zones": {ZONE: self.server, BROKEN: self.server},
            "tsig": tsig,
        }

    def start(self) -> None:
        """Start it and wait until it answers for its zone."""
        command = [_program(), "-c", str(self.directory / "knot.conf")]
        log = self.directory / "knot.log"
        self._group = Group(command, directory=self.directory, log=log, last=signal.SIGKILL)
        deadline = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)

    def _answers(self) -> bool:
        query = dns.message.make_query(ZONE, "SOA")
        try:
            return bool(dns.query.udp(query, "127.0.0.1", 0.5, self.port).answer)
        except (OSError, dns.exception.DNSException):
            return False

    def stop(self) -> None:
        """End it."""
        if self._group is not None:
            self._group.stop(5)
            self._group = None


def _owner(directory: Path) -> str:
    return f"{directory.owner()}:{directory.group()}"


def _program() -> str:
    program = shutil.which("knotd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        pytest.skip("no knotd here; as root: apt-get install knot")
    return program
