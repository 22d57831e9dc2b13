"""
Derives all keys of a cluster from its secret, with the same result on every node.

It uses HKDF-SHA256 (RFC 5869) without a salt and with one label for each use; docs/wire.md lists the labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libgomd.errors import ConfigError
from libgomd.keys import SECRET_LENGTH, read_key_file
from libgomd.wire.sealing import KEY_ID_LENGTH, DatagramKey, KeyRing

KEY_ID_LABEL: Final = b"gomd/1 key id"
DATAGRAM_LABEL: Final = b"gomd/1 datagram"
AUTHORITY_LABEL: Final = b"gomd/1 authority"
PAGE_SERVER_LABEL: Final = b"gomd/1 page server"
SWIM_LABEL: Final = b"gomd/1 swim"
SERF_LABEL: Final = b"gomd/1 serf"


@dataclass(frozen=True, slots=True)
class ClusterKey:
    """
    The keys derived from one key file.

    :ivar id: 8 bytes that identify the key publicly.
    :ivar datagram: the secret of the datagram key. :ivar authority: the Ed25519 seed of the certificate
        authority. :ivar page_server: the Ed25519 seed of criu's page server. :ivar swim: the secret for
        the packets of the swim engine. :ivar serf: the key of the Serf agent that gomd runs. 32 bytes each.
    """

    id: bytes
    datagram: bytes = field(repr=False)
    authority: bytes = field(repr=False)
    page_server: bytes = field(repr=False)
    swim: bytes = field(repr=False)
    serf: bytes = field(repr=False)

    @classmethod
    def derive(cls, secret: bytes) -> ClusterKey:
        """Return the keys derived from ``secret``, 32 bytes."""
        if len(secret) != SECRET_LENGTH:
            raise ValueError(f"a cluster's secret has {SECRET_LENGTH} bytes")
        return cls(
            hkdf(secret, KEY_ID_LABEL, KEY_ID_LENGTH),
            hkdf(secret, DATAGRAM_LABEL),
            hkdf(secret, AUTHORITY_LABEL),
            hkdf(secret, PAGE_SERVER_LABEL),
            hkdf(secret, SWIM_LABEL),
            hkdf(secret, SERF_LABEL),
        )


def hkdf(secret: bytes, label: bytes, length: int = 32) -> bytes:
    """Return ``length`` bytes derived from ``secret`` for the use that ``label`` names."""
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=label).derive(secret)


def read_keys(paths: Iterable[str]) -> tuple[ClusterKey, ...]:
    """
    Return the keys in the key files at ``paths``, in their order: the first one seals. Blocks.

    :raises ConfigError: as `read_key_file`.
    """
    return tuple(ClusterKey.derive(read_key_file(path)) for path in paths)


def key_ring(keys: Iterable[ClusterKey]) -> KeyRing:
    """Return the ring of ``keys``. :raises ValueError: there are none; nothing is sent unsealed."""
    return KeyRing([DatagramKey(key.id, key.datagram) for key in keys])


def ring_of_files(key_files: str | Sequence[str]) -> KeyRing:
    """
    Return the ring of the keys in these files, for programs that send questions to nodes. Blocks.

    :param key_files: one path or several; the first key seals.
    :raises ConfigError: no file is given, or one cannot be used.
    """
    paths = [path for path in ([key_files] if isinstance(key_files, str) else key_files) if path]
    if not paths:
        raise ConfigError(
            [
                "a node is asked with the key of its cluster only: name its key file, or, for a daemon of "
                "your own that has none configured, the file `key` in its STATE directory"
            ]
        )
    return key_ring(read_keys(paths))
