"""
The seal of a datagram: its header, its keys, and ChaCha20-Poly1305 over its body.

A packet consists of ``gomd``, version, key id (8 bytes), salt (8), nonce (12), and the sealed body with its
tag (16). Salt and nonce are random. A sender keeps its salt while it runs and derives its own key from it;
the nonce is new for each packet. docs/wire.md explains why this is safe without any stored state.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from libgomd.errors import BrokenSeal, ForeignDatagram, OversizedDatagram, UnknownKey, UnknownVersion
from libgomd.wire.messages import MAX_PACKET

MAGIC: Final = b"gomd"
VERSION: Final = 1
KEY_ID_LENGTH: Final = 8
SALT_LENGTH: Final = 8
NONCE_LENGTH: Final = 12
TAG_LENGTH: Final = 16
_PREFIX: Final = MAGIC + bytes([VERSION])
_ID_END: Final = len(_PREFIX) + KEY_ID_LENGTH
_SALT_END: Final = _ID_END + SALT_LENGTH
_HEADER: Final = _SALT_END + NONCE_LENGTH
#: Bytes of a packet besides its body.
SEALED_OVERHEAD: Final = _HEADER + TAG_LENGTH
#: Maximum number of derived keys to cache. A packet of another sender costs about 10 us more.
MAX_SALTS: Final = 4096


class DatagramKey:
    """
    The key with which one cluster seals its datagrams.

    :param key_id: 8 bytes that identify the key publicly, derived from it by a one-way function.
    :param secret: 32 bytes.
    """

    def __init__(self, key_id: bytes, secret: bytes) -> None:
        if len(key_id) != KEY_ID_LENGTH or len(secret) != 32:
            raise ValueError("a key has an id of 8 bytes and a secret of 32")
        self.id = key_id
        self._secret = secret
        self._ciphers: dict[bytes, ChaCha20Poly1305] = {}

    def __repr__(self) -> str:
        return f"<DatagramKey {self.id.hex()}>"

    def prefix(self, salt: bytes) -> bytes:
        """Return the first bytes of every packet of the sender with ``salt``."""
        if len(salt) != SALT_LENGTH:
            raise ValueError(f"a salt has {SALT_LENGTH} bytes")
        return _PREFIX + self.id + salt

    def cipher(self, salt: bytes) -> ChaCha20Poly1305:
        """Return the cipher of the sender with ``salt``: its key is HKDF-Expand of the secret (RFC 5869)."""
        return self._ciphers.get(salt) or ChaCha20Poly1305(
            hmac.digest(self._secret, b"gomd/1 sender" + salt + b"\x01", hashlib.sha256)
        )

    def open(self, packet: bytes) -> bytes:
        """
        Return the body of ``packet``, whose header names this key.

        :raises BrokenSeal: it was not sealed with this key, or was changed.
        """
        if len(packet) < SEALED_OVERHEAD:
            raise BrokenSeal(f"{len(packet)} bytes are too few for a sealed datagram")
        salt = packet[_ID_END:_SALT_END]
        cipher = self._ciphers.get(salt)
        try:
            if cipher is not None:
                return cipher.decrypt(packet[_SALT_END:_HEADER], packet[_HEADER:], packet[:_HEADER])
            cipher = self.cipher(salt)
            body = cipher.decrypt(packet[_SALT_END:_HEADER], packet[_HEADER:], packet[:_HEADER])
        except InvalidTag:
            raise BrokenSeal("the seal is not valid") from None
        # Only senders that have the key are cached.
        if len(self._ciphers) >= MAX_SALTS:
            del self._ciphers[next(iter(self._ciphers))]
        self._ciphers[salt] = cipher
        return body


class KeyRing:
    """
    The keys in use. The first one seals and all of them open, so that a key can be changed without a gap.

    :param keys: at least one, newest first.
    """

    def __init__(self, keys: Sequence[DatagramKey]) -> None:
        if not keys:
            raise ValueError("datagrams need a key: there are no unsealed ones")
        self.first = keys[0]
        self._by_id = {key.id: key for key in keys}

    def open(self, packet: bytes) -> tuple[bytes, bytes]:
        """
        Return the id of the key that ``packet`` is sealed with, and its body.

        :raises MalformedDatagram: one of its subclasses, which tells what is wrong.
        """
        if len(packet) > MAX_PACKET:
            raise OversizedDatagram(f"{len(packet)} bytes, at most {MAX_PACKET} are accepted")
        if not packet.startswith(_PREFIX) or len(packet) < _ID_END:
            if not packet.startswith(MAGIC) or len(packet) < _ID_END:
                raise ForeignDatagram("it does not begin with gomd's header")
            raise UnknownVersion(f"version {packet[len(MAGIC)]} of the wire, this gomd speaks {VERSION}")
        key_id = packet[len(_PREFIX) : _ID_END]
        key = self._by_id.get(key_id)
        if key is not None:
            return key_id, key.open(packet)
        raise UnknownKey(f"it is sealed with key {key_id.hex()}, which is not ours")
