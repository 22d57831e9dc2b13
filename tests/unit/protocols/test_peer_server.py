"""Streams of other daemons: whom each request is for, whose place it takes, and who is hung up on."""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from OpenSSL import crypto
from twisted.internet.testing import StringTransport

from gomd.protocols.peer_server import FIRST_REQUEST_TIMEOUT, GROUPS, MAX_NEW_STREAMS, PeerServer, group_of
from gomd.protocols.telnet import TelnetLine
from gomd.protocols.telnet_factory import Limits
from gomd.sources.memory import MemorySource
from libgomd.certificates import node_credentials, page_server_credentials
from libgomd.derivation import ClusterKey
from libgomd.model import Caller, Role
from libgomd.testing import MemoryDaemon
from libgomd.wire.lines import parse_request

KEY = ClusterKey.derive(bytes(32))
NODE, PAGE_SERVER = node_credentials([KEY], 2, "two").certificate, page_server_credentials([KEY]).certificate


class Certified(StringTransport):
    """A transport whose other end has shown a certificate. :ivar line: what speaks on it."""

    line: TelnetLine

    def __init__(self, certificate: Any) -> None:
        super().__init__()
        self._certificate = certificate

    def getPeerCertificate(self) -> crypto.X509:
        """Return it."""
        return crypto.X509.from_cryptography(self._certificate)

    def hang_up(self) -> None:
        """Be gone."""
        self.line.connectionLost()


class Port:
    """A stream port behind the handshake; ``most`` streams of each group."""

    opened: ClassVar[list[Certified]] = []

    def __init__(self, most: int = 2) -> None:
        self.daemon = MemoryDaemon(MemorySource([50]))
        self.rivals: list[tuple[int, str]] = []
        behind = self.daemon.telnet_factory
        self.server = PeerServer(
            behind._dispatch,
            behind._threads,
            self.daemon.clock,
            Limits(),
            0,
            most=dict.fromkeys(GROUPS, most), is_rival=lambda *place: place in self.rivals, own_id=7,
        )  # fmt: skip

    def open(self, *lines: str, certificate: Any = NODE) -> Certified:
        """Open a stream, say lines in one packet; its greeting is not kept."""
        wire = Certified(certificate)
        wire.line = line = self.server.buildProtocol(None)
        line.makeConnection(wire)
        self.opened.append(wire)
        wire.clear()
        line.dataReceived("".join(f"{text}\r\n" for text in lines).encode())
        self.daemon.settle()
        return wire

    def codes(self, *lines: str, **options: Any) -> list[str]:
        """Open a stream, say lines; return the codes of the answers."""
        return [text[:3].decode() for text in self.open(*lines, **options).value().splitlines()]

    def streams(self) -> dict[str, int]:
        """Return how many streams there are, in all and of each group."""
        return {each.name: int(each.value) for each in self.server.counters()}


@pytest.fixture(autouse=True)
def hang_up() -> Iterator[None]:
    """Leave no stream open behind a test."""
    yield
    while Port.opened:
        Port.opened.pop().hang_up()


ADMIN, READER = "behalf admin 0 root text", "behalf read - - text"


def test_a_stream_says_first_whom_it_is_for() -> None:
    """Then its requests are answered as that caller's, and it stays open."""
    port = Port()
    wire = port.open(READER, "load", "stay", "whoami")
    assert [text[:3] for text in wire.value().splitlines()] == [b"200", b"200", b"403", b"200"]
    assert b"via node 2" in wire.value()
    assert not wire.disconnecting


def test_a_second_node_with_an_id_is_not_believed() -> None:
    """A clone has the key, and a certificate of that id: it would go on with the jobs of the first one."""
    port = Port()
    host = Certified(NODE).getPeer().host
    assert port.codes(ADMIN, "load") == ["200", "200"]
    port.rivals.append((2, host))
    assert b"409 two nodes use the id 2" in port.open(ADMIN, "load").value()
    port.rivals[:] = [(2, "10.0.0.9"), (3, host)]
    assert port.codes(ADMIN, "load") == ["200", "200"]


def test_nor_one_with_the_id_of_this_node() -> None:
    """No daemon calls itself."""
    port = Port()
    own = node_credentials([KEY], 7, "seven").certificate
    assert b"409 two nodes use the id 7" in port.open(ADMIN, certificate=own).value()


def test_a_second_node_that_is_found_later_loses_its_streams() -> None:
    """It may call a moment before a probe has shown that there are two."""
    port = Port()
    wire = port.open(ADMIN, "load")
    port.server.end_idle()
    assert not wire.disconnecting
    port.rivals.append((2, wire.getPeer().host))
    port.server.end_idle()
    assert wire.disconnecting


@pytest.mark.parametrize(
    "first",
    ["load", "", "run", "migration", "behalf", "behalf admin 0 root", "behalf god 0 root text",
     "behalf admin zero root text", "@2 load", "behalf user 99 root text",
     "behalf user 0 nobody-has-this-name text"],
)  # fmt: skip
def test_any_other_beginning_ends_it(first: str) -> None:
    """One refusal, no look at what follows, and nobody's place is taken."""
    port = Port()
    wire = port.open(first, ADMIN, "stay", "load")
    [answer] = wire.value().splitlines()
    assert answer[:1] == b"4"
    assert wire.disconnecting
    assert port.streams()["streams_in_admins"] == 0


def test_a_certificate_of_no_node_is_nobodys() -> None:
    """criu's page server has one of the cluster: it may say nothing."""
    assert Port().codes(ADMIN, "load", certificate=PAGE_SERVER) == ["403"]


def test_a_user_has_to_be_the_same_one_here() -> None:
    """By name and uid."""
    daemon = pwd.getpwnam("daemon")
    port = Port()
    assert port.codes(f"behalf user {daemon.pw_uid} daemon text", "load") == ["200", "200"]
    assert port.codes(f"behalf user {daemon.pw_uid + 1} daemon text", "load") == ["403"]


def test_no_group_uses_up_the_places_of_another() -> None:
    """Readers who watch for ever leave the admins' and the daemons' alone; one who goes frees a place."""
    port = Port(most=2)
    readers = [port.open(READER, "watch load") for _ in range(2)]
    assert port.codes(READER, "load") == ["200", "429"]
    assert port.open(READER, "load").disconnecting
    for _ in range(2):
        assert port.codes(ADMIN, "load") == ["200", "200"]
    assert port.codes(ADMIN, "load") == ["200", "429"]
    assert port.codes(ADMIN, "migration")[0] == "200"
    found = port.streams()
    assert (found["streams_in_readers"], found["streams_in_admins"], found["streams_in_daemons"]) == (2, 2, 1)
    assert found["streams_turned_away"] == 3
    Port.opened.remove(readers[0])
    readers[0].hang_up()
    assert port.streams()["streams_in_readers"] == 1
    assert port.codes(READER, "load") == ["200", "200"]


def test_a_stream_that_is_kept_for_later_makes_room() -> None:
    """The one that was idle for longest is closed for a new one; never one that is answered now."""
    port = Port(most=2)
    watching = port.open(READER, "watch load")
    first = port.open(READER, "load")
    assert port.codes(READER, "load") == ["200", "429"]
    port.daemon.clock.advance(1.0)
    assert port.codes(READER, "load") == ["200", "200"]
    assert (first.disconnecting, watching.disconnecting) == (True, False)
    assert port.streams()["streams_in_readers"] == 2
    first.hang_up()
    Port.opened.remove(first)
    assert port.streams()["streams_in_readers"] == 2


def test_a_stream_without_a_first_request_does_not_stay() -> None:
    """Half a minute after it came, or after it said whom it is for; one that has asked stays much longer."""
    port = Port()
    new, introduced, used = port.open(), port.open(ADMIN), port.open(ADMIN, "load")
    port.daemon.advance(FIRST_REQUEST_TIMEOUT - 1)
    port.server.end_idle()
    assert not any(wire.disconnecting for wire in (new, introduced, used))
    port.daemon.advance(2)
    port.server.end_idle()
    assert [wire.disconnecting for wire in (new, introduced, used)] == [True, True, False]
    for wire in (new, introduced):
        Port.opened.remove(wire)
        wire.hang_up()
    port.daemon.advance(Limits().idle_timeout)
    port.server.end_idle()
    assert used.disconnecting


def test_streams_without_a_first_request_are_not_without_number() -> None:
    """Beside the places of the groups there are some for them; then the greeting is a refusal."""
    port = Port(most=1)
    opened = [port.open() for _ in range(len(GROUPS) + MAX_NEW_STREAMS)]
    assert not any(wire.disconnecting for wire in opened)
    assert port.open(ADMIN, "load").disconnecting
    assert port.streams()["streams_turned_away"] == 1


@pytest.mark.parametrize(
    ("request_", "role", "group"),
    [
        ("migration", Role.ADMIN, "daemons"), ("moved 1-9 2 4", Role.ADMIN, "daemons"),
        ("run 1-9", Role.USER, "daemons"), ("attach 1-9", Role.ADMIN, "daemons"), ("run", Role.USER, "users"),
        ("attach 9", Role.ADMIN, "admins"), ("watch ps", Role.READ, "readers"),
        ("load", Role.NONE, "readers"),
        ("ps", Role.ADMIN, "admins"), ("ps", Role.USER, "users"),
    ],
)  # fmt: skip
def test_whose_place_a_stream_takes(request_: str, role: Role, group: str) -> None:
    """The daemons' own are told by what they ask, the others by whom they are for."""
    assert group_of(parse_request(request_.encode()), Caller(role, "ann", 1000, "node 2")) == group
