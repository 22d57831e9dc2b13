"""The test vectors of docs/wire.md: what another program may check itself against."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from libgomd.certificates import authority
from libgomd.derivation import ClusterKey
from libgomd.errors import MalformedDatagram
from libgomd.wire.bodies import encode_body
from libgomd.wire.datagrams import open_sealed, seal
from libgomd.wire.layouts import LAYOUTS
from libgomd.wire.sealing import SEALED_OVERHEAD, DatagramKey, KeyRing
from tests.unit.wire import vectors
from tests.unit.wire.stream_vectors import stream_vectors

PACKETS = vectors.load("packets.json")
BAD = vectors.load("bad.json")


def _key(secret: str) -> DatagramKey:
    made = ClusterKey.derive(bytes.fromhex(secret))
    return DatagramKey(made.id, made.datagram)


@pytest.mark.parametrize("vector", PACKETS, ids=lambda vector: vector["name"])
def test_a_packet_says_what_its_description_says(vector: dict[str, Any]) -> None:
    """Whoever opens the packet of a vector gets the datagram that stands beside it."""
    opened = open_sealed(bytes.fromhex(vector["packet"]), KeyRing([_key(vector["secret"])]))
    assert opened.datagram == vectors.understand(vector["datagram"])
    assert vectors.describe(opened.datagram) == vector["datagram"]


@pytest.mark.parametrize("vector", PACKETS, ids=lambda vector: vector["name"])
def test_a_description_makes_its_packet(vector: dict[str, Any]) -> None:
    """The same datagram, salt and nonce always make the very same bytes."""
    datagram = vectors.understand(vector["datagram"])
    salt, nonce = bytes.fromhex(vector["salt"]), bytes.fromhex(vector["nonce"])
    assert encode_body(datagram, SEALED_OVERHEAD).hex() == vector["body"]
    assert seal(datagram, _key(vector["secret"]), salt, nonce).hex() == vector["packet"]


@pytest.mark.parametrize("vector", BAD, ids=lambda vector: vector["name"])
def test_a_bad_packet_is_refused_as_what_it_is(vector: dict[str, Any]) -> None:
    """Each bad packet is counted under its own kind."""
    with pytest.raises(MalformedDatagram) as raised:
        open_sealed(bytes.fromhex(vector["packet"]), vectors.RING)
    assert raised.value.word == vector["error"]
    assert type(raised.value) is not MalformedDatagram


def test_every_kind_of_message_and_of_error_has_a_vector() -> None:
    """A new kind of message or of error cannot be forgotten in the vectors."""
    assert {vector["datagram"]["message"]["kind"] for vector in PACKETS} == {
        kind.__name__ for kind in LAYOUTS
    }
    assert {vector["error"] for vector in BAD} == {kind.word for kind in MalformedDatagram.__subclasses__()}


def test_every_key_is_made_from_the_secret_alone() -> None:
    """Two nodes with one key file have the same keys and the very same authority, byte by byte."""
    for vector in vectors.load("keys.json"):
        made = ClusterKey.derive(bytes.fromhex(vector["secret"]))
        assert [made.id, made.datagram, made.authority, made.page_server, made.swim, made.serf] == [
            bytes.fromhex(vector[name])
            for name in ("key_id", "datagram", "authority_seed", "page_server_seed", "swim", "serf")
        ]
        certificate = authority(made)
        assert certificate.public_bytes(Encoding.DER).hex() == vector["authority_certificate"]
        certificate.verify_directly_issued_by(
            x509.load_der_x509_certificate(bytes.fromhex(vector["authority_certificate"]))
        )


def test_the_files_are_what_the_generator_writes() -> None:
    """Nobody changed the files by hand, and the wire has not changed behind their back."""
    assert vectors.load("keys.json") == vectors.key_vectors()
    assert vectors.load("packets.json") == vectors.packet_vectors()
    assert vectors.load("bad.json") == vectors.bad_vectors()
    assert vectors.load("streams.json") == stream_vectors()


@pytest.mark.skipif(
    shutil.which("node") is None, reason="node.js is not installed: the checker in JavaScript is"
)
def test_a_program_in_another_language_agrees() -> None:
    """check.js, written from docs/wire.md alone, finds every vector right."""
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run(
        [node, str(vectors.DIRECTORY / "check.js")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    count = int(done.stdout.split()[0])
    streams = len(vectors.load("streams.json"))
    assert count == 3 * len(PACKETS) + len(BAD) + 8 * len(vectors.load("keys.json")) + streams
