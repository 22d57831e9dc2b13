"""
The test vectors of docs/wire.md: messages as JSON, and the files in tests/data/wire.

``python -m tests.unit.wire.vectors`` writes the files anew; they change only when the wire does.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives.serialization import Encoding

from libgomd.certificates import authority, page_server_credentials
from libgomd.derivation import ClusterKey
from libgomd.errors import MalformedDatagram
from libgomd.wire.bodies import encode_body
from libgomd.wire.datagrams import open_sealed, seal
from libgomd.wire.layouts import LAYOUTS
from libgomd.wire.messages import (
    Addresses,
    Answer,
    ClockWarning,
    Datagram,
    Heartbeat,
    IndirectProbe,
    Leave,
    MemberNote,
    MemberState,
    Message,
    Notice,
    Probe,
    ProbeAck,
    Question,
    ReplayWarning,
    Roster,
    Summary,
    TrueSpeed,
)
from libgomd.wire.sealing import SEALED_OVERHEAD, DatagramKey, KeyRing
from tests.unit.wire.stream_vectors import stream_vectors

DIRECTORY = Path(__file__).parents[2] / "data" / "wire"
SECRET = bytes(range(32))
OTHER_SECRET = bytes(range(100, 132))
SALT = bytes.fromhex("a1a2a3a4a5a6a7a8")
NONCE = bytes.fromhex("b0b1b2b3b4b5b6b7b8b9babb")
CLUSTER = ClusterKey.derive(SECRET)
KEY = DatagramKey(CLUSTER.id, CLUSTER.datagram)
RING = KeyRing([KEY])

_NAMES: dict[str, type] = {kind.__name__: kind for kind in LAYOUTS}


def describe(value: Any) -> Any:
    """Return a message, note or datagram as JSON: fields by name, bytes in hexadecimal."""
    if isinstance(value, MemberState):
        return value.name.lower()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return [describe(each) for each in value]
    if hasattr(value, "_asdict"):
        fields = {name: describe(each) for name, each in value._asdict().items()}
        return {"kind": type(value).__name__, **fields} if type(value) in LAYOUTS else fields
    return value


def understand(fields: dict[str, Any]) -> Datagram:
    """Return the datagram that `describe` described."""
    message = dict(fields["message"])
    kind = _NAMES[message.pop("kind")]
    if "notes" in message:
        message["notes"] = tuple(
            MemberNote(**{**note, "state": MemberState[note["state"].upper()]}) for note in message["notes"]
        )
    if "state" in message:
        message["state"] = MemberState[message["state"].upper()]
    if "addresses" in message:
        message["addresses"] = tuple(message["addresses"])
    if "data" in message:
        message["data"] = bytes.fromhex(message["data"])
    return Datagram(**{**fields, "message": kind(**message)})


def load(name: str) -> Any:
    """Return what the file of vectors ``name`` holds."""
    return json.loads((DIRECTORY / name).read_text())


NOTES = (
    MemberNote(1, MemberState.UP, 1767225600000, 0, 5428, "10.0.0.1"),
    MemberNote(65535, MemberState.DOWN, 1767225599999, 4294967295, 65535, "192.168.255.255"),
)
NOTES_IPV6 = (
    MemberNote(3, MemberState.UP, 1767225600000, 0, 5428, "fd00::3"),
    MemberNote(65535, MemberState.DOWN, 1767225599999, 4294967295, 65535, "ffff:eeee:1:2:3:4:5:6"),
)
MESSAGES: dict[str, Message] = {
    "a heartbeat": Heartbeat(
        2, 5428, 5428, 7, 350, 112, 15000, 4, 400, 8_000_000_000, 6_000_000_000, 16_000_000_000,
        False, "alpha", "10.0.0.2",
    ),
    "an announcement with unknown values, an umlaut and notes": Heartbeat(
        0, 5428, 0, 3, None, None, None, None, None, None, None, None, True, "kühl", "10.0.0.2", NOTES
    ),
    "a leave": Leave(3, "stopped by its admin"),
    "a question for a path": Question(2**53 - 1, "/proc/4711/where"),
    "a question that cannot be padded to its room, but to one byte more": Question(1000, "/" + "a" * 152),
    "a question with much room": Question(5, "/proc/meminfo", 0, 3, 1200),
    "a question for a summary": Question(77, "", 9),
    "an answer": Answer(2**53 - 1, 200, 2, b"3\n"),
    "an answer that was cut": Answer(5, 200, 1500, b"MemTotal: \xff"),
    "an answer that is an error": Answer(5, 403, 3, b"no!"),
    "a summary": Summary(
        77, 9, 3, 12, 0, 15000, 1, 100, 1, 0, 2**53 - 1, "node-9.example", "172.16.0.9"
    ),
    "a summary of a node that is down": Summary(
        78, 9, 1, None, None, None, None, None, None, None, None, "node-9.example", "172.16.0.9"
    ),
    "a probe": Probe(4242, 9),
    "an ack": ProbeAck(4242, 9, 1767225600123, 1),
    "an ack of a helper who got no answer": ProbeAck(4243, 9, 0, 0, False),
    "an indirect probe": IndirectProbe(4243, 9, 5428, "10.0.0.9"),
    "a suspicion": Notice(MemberState.SUSPECT, 9, 1767225600123, 1, 4, "no answer to 2 probes in 1.5 s"),
    "two nodes with one id": Notice(MemberState.CONFLICT, 9, 1767225600123, 0, 4, "10.0.0.8 uses it too"),
    "a roster": Roster(100, NOTES),
    "a clock warning": ClockWarning(1767225600123, 12345, 1767225300000, "alpha"),
    "a replay warning": ReplayWarning(1767225600123, 12345, 2**53 - 1, "alpha"),
    "a speed that a heartbeat cannot say": TrueSpeed(131072),
    "a heartbeat of a node without IPv4": Heartbeat(
        0, 5428, 5428, 3, None, None, None, None, None, None, None, None, True, "gamma", "fd00::3"
    ),
    "a summary of a node without IPv4": Summary(
        79, 3, 3, 12, 0, 15000, 1, 100, 1, 0, 2**53 - 1, "gamma", "2001:db8::ffff:0:3"
    ),
    "an indirect probe of an IPv6 address": IndirectProbe(4244, 3, 5428, "fe80::3"),
    "a roster of IPv6 addresses": Roster(100, NOTES_IPV6),
    "two addresses of one node": Addresses(5428, ("10.0.0.2", "fd00::2")),
}  # fmt: skip


def bad_bodies() -> dict[str, bytes]:
    """Return bodies that every receiver has to refuse."""
    good = [6, 2, 1, 2, 3, 4242, 9]
    probe = cbor2.dumps(good)
    return {
        "an empty body": b"",
        "a byte behind the array": probe + b"\x00",
        "an array behind the array": probe + probe,
        "a body cut by a byte": probe[:-1],
        "an array of indefinite length": b"\x9f" + probe[1:] + b"\xff",
        "a tag around the array": b"\xd9\xd9\xf7" + probe,
        "a big number with a tag": probe[:-1] + b"\xc2\x41\x09",
        "a map": cbor2.dumps({1: 6}),
        "a kind nobody knows": cbor2.dumps([99, *good[1:]]),
        "a kind that is a text": cbor2.dumps(["6", *good[1:]]),
        "no message at all": cbor2.dumps([]),
        "a field too few": cbor2.dumps(good[:-1]),
        "a field too many": cbor2.dumps([*good, 0]),
        "a float": cbor2.dumps([*good[:-1], 9.0]),
        "a null where there is none": cbor2.dumps([*good[:-1], None]),
        "true for a number": cbor2.dumps([*good[:-1], True]),
        "a negative number": cbor2.dumps([*good[:-2], -1, 9]),
        "a number of more than 53 bits": cbor2.dumps([*good[:-2], 2**53, 9]),
        "a node id over 65535": cbor2.dumps([*good[:-1], 65536]),
        "sequence 0": cbor2.dumps([6, 2, 1, 2, 0, 4242, 9]),
        "a leave of a program": cbor2.dumps([2, 0, 1, 2, 3, 0, ""]),
        "a reason with a line end": cbor2.dumps([2, 2, 1, 2, 3, 0, "bye\n"]),
        "a reason of 201 bytes": cbor2.dumps([2, 2, 1, 2, 3, 0, "x" * 201]),
        "a text that is not UTF-8": cbor2.dumps([2, 2, 1, 2, 3, 0])[:1].replace(b"\x86", b"\x87")
        + cbor2.dumps([2, 2, 1, 2, 3, 0])[1:]
        + b"\x61\xff",
        "an answer longer than its size": cbor2.dumps([4, 2, 1, 2, 3, 5, 200, 1, b"ab"]),
        "an address of 3 bytes": cbor2.dumps([8, 2, 1, 2, 3, 4243, 9, 5428, b"abc"]),
        "an address of 15 bytes": cbor2.dumps([8, 2, 1, 2, 3, 4243, 9, 5428, bytes(15)]),
        "an IPv4 address in the form of IPv6": cbor2.dumps(
            [8, 2, 1, 2, 3, 4243, 9, 5428, bytes(10) + b"\xff\xff\x0a\0\0\1"]
        ),
        "no address of a node": cbor2.dumps([14, 2, 1, 2, 3, 5428, []]),
        "three addresses of a node": cbor2.dumps([14, 2, 1, 2, 3, 5428, [b"abcd"] * 3]),
        "an address that is a number": cbor2.dumps([14, 2, 1, 2, 3, 5428, [7]]),
        "port 0": cbor2.dumps([8, 2, 1, 2, 3, 4243, 9, 0, b"abcd"]),
        "a state nobody knows": cbor2.dumps([9, 2, 1, 2, 3, 6, 9, 0, 0, 4, ""]),
        "a note cut short": cbor2.dumps([10, 2, 1, 2, 3, 1, [1, 1, 0, 0, 5428]]),
        "37 notes": cbor2.dumps([10, 2, 1, 2, 3, 37, [1, 1, 0, 0, 1, b"abcd"] * 37]),
        "a name with a space": cbor2.dumps([11, 2, 1, 2, 3, 0, 1, 0, "al pha"]),
        "a question that is too short": cbor2.dumps([3, 2, 1, 2, 3, 5, 0, 0, "/proc/loadavg", b""]),
        "a question whose padding is not zero": cbor2.dumps([3, 2, 1, 2, 3, 5, 0, 0, "", b"\1" * 200]),
        "a question with a path and a node": cbor2.dumps([3, 2, 1, 2, 3, 5, 9, 0, "/proc", bytes(200)]),
        "a question of 255 bytes": cbor2.dumps([3, 2, 1, 2, 3, 5, 0, 0, "", bytes(194)]),
        "a path without a slash": cbor2.dumps([3, 2, 1, 2, 3, 5, 0, 0, "proc", bytes(200)]),
    }


def seal_body(body: bytes) -> bytes:
    """Return the packet of a body that may be wrong."""
    header = KEY.prefix(SALT) + NONCE
    return header + KEY.cipher(SALT).encrypt(NONCE, body, header)


def unsealed(datagram: Datagram) -> bytes:
    """Return the packet that gomd once sent on loopback without a key: its key id is all zero."""
    return b"gomd\x01" + bytes(8) + encode_body(datagram, SEALED_OVERHEAD)


def bad_packets() -> dict[str, bytes]:
    """Return packets that every receiver has to refuse."""
    good = seal(Datagram(2, 1, 2, 3, Probe(4242, 9)), KEY, SALT, NONCE)
    other = ClusterKey.derive(OTHER_SECRET)
    packets = {
        "nothing": b"",
        "another program's packet": b"hello, world",
        "a header cut short": good[:12],
        "version 2": good[:4] + b"\x02" + good[5:],
        "another cluster's": seal(
            Datagram(2, 1, 2, 3, Probe(1)), DatagramKey(other.id, other.datagram), SALT, NONCE
        ),
        "not sealed": unsealed(Datagram(2, 1, 2, 3, Probe(4242, 9))),
        "sealed and cut in the nonce": good[:30],
        "sealed and cut in the tag": good[:-1],
        "a byte more": good + b"\0",
        "a bit of the salt changed": good[:13] + bytes([good[13] ^ 1]) + good[14:],
        "a bit of the nonce changed": good[:21] + bytes([good[21] ^ 128]) + good[22:],
        "a bit of the body changed": good[:33] + bytes([good[33] ^ 1]) + good[34:],
        "a bit of the tag changed": good[:-1] + bytes([good[-1] ^ 1]),
        "1201 bytes": good + bytes(1201 - len(good)),
    }
    for name, body in bad_bodies().items():
        packets[f"body: {name}"] = seal_body(body)
    return packets


def _word(packet: bytes) -> str:
    try:
        open_sealed(packet, RING)
    except MalformedDatagram as error:
        return error.word
    raise AssertionError(f"{packet.hex()} was taken")


def key_vectors() -> list[dict[str, str]]:
    """Return what is made from two secrets."""
    vectors = []
    for secret in (SECRET, OTHER_SECRET):
        made = ClusterKey.derive(secret)
        own, page = authority(made), page_server_credentials([made]).certificate
        vectors.append(
            {
                "secret": secret.hex(),
                "key_id": made.id.hex(),
                "datagram": made.datagram.hex(),
                "authority_seed": made.authority.hex(),
                "page_server_seed": made.page_server.hex(),
                "swim": made.swim.hex(),
                "serf": made.serf.hex(),
                "salt": SALT.hex(),
                "sender_key": sender_key(made.datagram, SALT).hex(),
                "authority_certificate": own.public_bytes(Encoding.DER).hex(),
                "page_server_certificate_sha256": hashlib.sha256(page.public_bytes(Encoding.DER)).hexdigest(),
            }
        )
    return vectors


def sender_key(secret: bytes, salt: bytes) -> bytes:
    """Return a sender's key by the cryptography package's HKDF-Expand, not by our own line."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

    return HKDFExpand(SHA256(), 32, b"gomd/1 sender" + salt).derive(secret)


def packet_vectors() -> list[dict[str, Any]]:
    """Return a packet of each kind, and one of a program that is no node."""
    vectors = []
    senders = [*(2 for _ in MESSAGES), 0]
    messages = [*MESSAGES.items(), ("a probe of a program", Probe(1))]
    for number, (sender, (name, message)) in enumerate(zip(senders, messages, strict=True), start=1):
        datagram = Datagram(sender, 1767225600000, 1767225612345, number, message)
        packet = seal(datagram, KEY, SALT, NONCE)
        datagram = open_sealed(packet, RING).datagram  # a question's room is what it got
        body = encode_body(datagram, SEALED_OVERHEAD)
        vectors.append(
            {
                "name": name,
                "secret": SECRET.hex(),
                "salt": SALT.hex(),
                "nonce": NONCE.hex(),
                "datagram": describe(datagram),
                "body": body.hex(),
                "packet": packet.hex(),
            }
        )
    return vectors


def bad_vectors() -> list[dict[str, Any]]:
    """Return the packets to refuse, with the kind of error each is counted as."""
    return [
        {"name": name, "error": _word(packet), "packet": packet.hex()}
        for name, packet in bad_packets().items()
    ]


def write() -> None:
    """Write the files anew."""
    for name, vectors in (
        ("keys.json", key_vectors()), ("packets.json", packet_vectors()), ("bad.json", bad_vectors()),
        ("streams.json", stream_vectors()),
    ):  # fmt: skip
        text = json.dumps(vectors, indent=1, ensure_ascii=False)
        (DIRECTORY / name).write_text(text + "\n")


if __name__ == "__main__":
    write()
