"""
Datagrams: messages to packets and back, without any I/O. What is in them is in `libgomd.wire.messages`.

The whole way of a packet is here: `Sealer` is the sender's half, `open_sealed` the receiver's, and
`libgomd.wire.replay` decides whether what was opened is new.
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

#: Packets under one salt, at most: the chance that two of 2^32 random nonces are equal is 2^-33.
MAX_UNDER_SALT: Final = 2**32
#: Numbers for each millisecond since the epoch, for `Sealer.renumber`: a million packets a second.
_A_MILLISECOND: Final = 1024
#: Random bytes drawn for each nonce.
_NONCE_KEY: Final = 16
#: No sender leaps past this number, so that none is ever without one to go on with.
_LAST_LEAP: Final = MAX_NUMBER - 2**50


class Opened(NamedTuple):
    """
    A packet that was opened: its sender has our key.

    It may still be old or replayed: `libgomd.wire.replay.ReplayWindow` knows.

    :ivar key_id: the key that sealed it.
    """

    datagram: Datagram
    key_id: bytes


def seal(datagram: Datagram, key: DatagramKey, salt: bytes, nonce: bytes) -> bytes:
    """
    Return the packet of ``datagram``.

    :param salt: 8 bytes, random, the same for one sender's packets (at most 2^32 of them).
    :param nonce: 12 bytes, random, new for each packet.
    :raises ValueError: a value is out of its range.
    """
    if len(nonce) != NONCE_LENGTH:
        raise ValueError(f"a nonce has {NONCE_LENGTH} bytes")
    header = key.prefix(salt) + nonce
    return header + key.cipher(salt).encrypt(nonce, encode_body(datagram, SEALED_OVERHEAD), header)


def open_sealed(packet: bytes, keys: KeyRing) -> Opened:
    """
    Return what ``packet`` says.

    :raises MalformedDatagram: for any other bytes, and nothing else; its ``word`` is the kind to count.
    """
    key_id, body = keys.open(packet)
    return Opened(decode_body(body, len(packet)), key_id)


class Sealer:
    """
    One sender: numbers and seals what it sends. For one thread only.

    :param sender: id of the node, 0 for a program that is none.
    :param instance: which start of it this is, see `Datagram`.
    :param random: gives that many random bytes, as `os.urandom`.
    :ivar sequence: the number of its last packet; ``first`` the one that its present numbering began behind.
    """

    def __init__(self, keys: KeyRing, sender: int, instance: int, random: Callable[[int], bytes]) -> None:
        self.sender = sender
        self.instance = instance
        self.sequence = self.first = 0
        self._random = random
        self._encode = new_encoder()
        self.use(keys)

    def use(self, keys: KeyRing) -> None:
        """Seal with the first of ``keys`` from now on; the numbers go on."""
        self._key = keys.first
        self._new_salt()

    def renumber(self, now: int, above: int = 0) -> None:
        """
        Leap to numbers that this sender cannot have used, whatever was forgotten of it, under a new salt.

        A machine that was put back to a snapshot counts from an old number again, and everybody who heard
        the later ones drops what it sends as replayed. The new number follows from the time, so that
        another state put back later leaps further.

        :param now: milliseconds since the epoch. :param above: a number that others know of us.
        """
        if above > _LAST_LEAP:
            above = 0
        self.sequence = self.first = max(self.sequence, above, min(now * _A_MILLISECOND, _LAST_LEAP))
        self._new_salt()

    def _new_salt(self) -> None:
        self._left = MAX_UNDER_SALT
        salt = self._random(SALT_LENGTH)
        self._prefix = self._key.prefix(salt)
        self._cipher = self._key.cipher(salt)

    def seal(self, message: Message, sent_at: int) -> bytes:
        """
        Return the packet of ``message``, with the next number.

        :param sent_at: milliseconds since the epoch.
        :raises ValueError: a value is out of its range; nothing is to be sent.
        """
        self.sequence += 1
        datagram = Datagram(self.sender, self.instance, sent_at, self.sequence, message)
        body = encode_body(datagram, SEALED_OVERHEAD, self._encode)
        if self._left == 0:
            self._new_salt()
        self._left -= 1
        # Random, and bound to what is sealed: a machine put back to a snapshot may draw the same bytes again.
        nonce = hashlib.blake2b(body, digest_size=NONCE_LENGTH, key=self._random(_NONCE_KEY)).digest()
        header = self._prefix + nonce
        return header + self._cipher.encrypt(nonce, body, header)
