"""
Datagrams: seals messages into packets and opens them again. No I/O. `libgomd.wire.messages` has the messages.

`Sealer` is the sender's half and `open_sealed` the receiver's. `libgomd.wire.replay` then decides whether an
opened datagram is new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

from libgomd.wire.bodies import decode_body, encode_body, new_encoder
from libgomd.wire.messages import MAX_NUMBER, Datagram, Message
from libgomd.wire.sealing import (
    NONCE_LENGTH,
    SALT_LENGTH,
    SEALED_OVERHEAD,
    DatagramKey,
    KeyRing,
)

#: Maximum number of packets with one salt. Two of 2^32 random nonces are equal with a chance of 2^-33.
MAX_UNDER_SALT: Final = 2**32
#: Sequence numbers per millisecond since the epoch in `Sealer.renumber`: a million packets a second.
_NUMBERS_PER_MILLISECOND: Final = 1024
#: Number of random bytes drawn for each nonce.
_NONCE_KEY_LENGTH: Final = 16
#: No sender skips beyond this sequence number, so that none ever runs out of numbers.
_LAST_LEAP: Final = MAX_NUMBER - 2**50


class Opened(NamedTuple):
    """
    A packet that was opened, so its sender has our key.

    It may still be old or a replay, which `libgomd.wire.replay.ReplayWindow` decides.

    :ivar key_id: id of the key that sealed it.
    """

    datagram: Datagram
    key_id: bytes


def seal(datagram: Datagram, key: DatagramKey, salt: bytes, nonce: bytes) -> bytes:
    """
    Return the packet of ``datagram``.

    :param salt: 8 random bytes, the same for at most 2^32 packets of one sender.
    :param nonce: 12 random bytes, new for each packet.
    :raises ValueError: a value is out of range.
    """
    if len(nonce) != NONCE_LENGTH:
        raise ValueError(f"a nonce has {NONCE_LENGTH} bytes")
    header = key.prefix(salt) + nonce
    return header + key.cipher(salt).encrypt(nonce, encode_body(datagram, SEALED_OVERHEAD), header)


def open_sealed(packet: bytes, keys: KeyRing) -> Opened:
    """
    Return the datagram in ``packet``.

    :raises MalformedDatagram: for any other bytes, and nothing else. Counters use its ``word``.
    """
    key_id, body = keys.open(packet)
    return Opened(decode_body(body, len(packet)), key_id)


class Sealer:
    """
    One sender: numbers and seals its messages. Only one thread may use it.

    :param sender: node id, 0 for a program that is not a node.
    :param instance: which start of the sender this is; see `Datagram`.
    :param random: returns so many random bytes, like `os.urandom`.
    :ivar sequence: sequence number of its last packet.
    :ivar first: the number after which the present numbering began.
    """

    def __init__(self, keys: KeyRing, sender: int, instance: int, random: Callable[[int], bytes]) -> None:
        self.sender = sender
        self.instance = instance
        self.sequence = self.first = 0
        self._random = random
        self._encode = new_encoder()
        self.use(keys)

    def use(self, keys: KeyRing) -> None:
        """Seal with the first of ``keys`` from now on. Sequence numbers continue."""
        self._key = keys.first
        self._new_salt()

    def renumber(self, now: int, above: int = 0) -> None:
        """
        Skip to sequence numbers that this sender cannot have used, with a new salt.

        A machine that returned to a snapshot starts again from an old number, and receivers of later ones
        drop its datagrams as replays. The new number is derived from the time, so that a snapshot that is
        restored later skips further.

        :param now: milliseconds since the epoch. :param above: a number of ours that others have received.
        """
        if above > _LAST_LEAP:
            above = 0
        self.sequence = self.first = max(
            self.sequence, above, min(now * _NUMBERS_PER_MILLISECOND, _LAST_LEAP)
        )
        self._new_salt()

    def _new_salt(self) -> None:
        self._left = MAX_UNDER_SALT
        salt = self._random(SALT_LENGTH)
        self._prefix = self._key.prefix(salt)
        self._cipher = self._key.cipher(salt)

    def seal(self, message: Message, sent_at: int) -> bytes:
        """
        Return the packet of ``message``, with the next sequence number.

        :param sent_at: milliseconds since the epoch.
        :raises ValueError: a value is out of range; send nothing.
        """
        self.sequence += 1
        datagram = Datagram(self.sender, self.instance, sent_at, self.sequence, message)
        body = encode_body(datagram, SEALED_OVERHEAD, self._encode)
        if self._left == 0:
            self._new_salt()
        self._left -= 1
        # Random and derived from the body: a machine that returned to a snapshot may draw the same bytes.
        nonce = hashlib.blake2b(body, digest_size=NONCE_LENGTH, key=self._random(_NONCE_KEY_LENGTH)).digest()
        header = self._prefix + nonce
        return header + self._cipher.encrypt(nonce, body, header)
