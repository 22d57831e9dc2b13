"""
The certificates of a cluster: its authority, derived from the key file, and the certificates it signs.

Anyone with the key file can derive the authority's key and make a certificate for any node. The key file
grants access; a certificate only identifies a node. Certificates do not expire. To exclude a node, change
the key (docs/wire.md).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from libgomd.derivation import ClusterKey
from libgomd.durable import replace_atomically
from libgomd.errors import GomdError
from libgomd.model import MAX_NODE_ID

#: No clock of a node is before the first date. RFC 5280 defines the second as "no expiry".
NOT_BEFORE: Final = datetime(2000, 1, 1, tzinfo=timezone.utc)
NOT_AFTER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
AUTHORITY_SERIAL: Final = 1
PAGE_SERVER_SERIAL: Final = 2
_NODE_URI: Final = "gomd://node/"
#: Two threads may write the same files at once, one for each migration.
_WRITING: Final = threading.Lock()


class NotANode(GomdError):
    """A correctly signed certificate does not name exactly one node."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    A certificate, its private key, and the authorities to trust.

    :ivar authorities: authorities of all keys in use; the one that signed this certificate is the first.
    """

    certificate: x509.Certificate
    key: Ed25519PrivateKey = field(repr=False)
    authorities: tuple[x509.Certificate, ...]

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key as PEM (PKCS 8, not encrypted)."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def authorities_pem(self) -> bytes:
        """The authorities as PEM, one after the other."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in self.authorities)


def authority(key: ClusterKey) -> x509.Certificate:
    """Return the certificate of the authority of ``key``: the same bytes on every node."""
    own = Ed25519PrivateKey.from_private_bytes(key.authority)
    name = _authority_name(key)
    return (
        _builder(name, name, own.public_key(), AUTHORITY_SERIAL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .sign(own, None)
    )


def node_credentials(keys: Sequence[ClusterKey], node: int, name: str) -> Credentials:
    """
    Return a fresh key and a certificate for a node, signed by the authority of the first of ``keys``.

    :param node: its id. :param name: its name, at most 63 characters.
    """
    if not 1 <= node <= MAX_NODE_ID:
        raise ValueError(f"{node} is no node id")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    who = x509.UniformResourceIdentifier(f"{_NODE_URI}{node}")
    return _signed(keys, subject, who, Ed25519PrivateKey.generate(), x509.random_serial_number())


def page_server_credentials(keys: Sequence[ClusterKey]) -> Credentials:
    """Return the credentials of criu's page server and its client, which are the same on every node."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gomd page server")])
    who = x509.DNSName("page-server.gomd")
    own = Ed25519PrivateKey.from_private_bytes(keys[0].page_server)
    return _signed(keys, subject, who, own, PAGE_SERVER_SERIAL)


def node_of(certificate: x509.Certificate) -> int:
    """
    Return the id of the node that ``certificate`` names. Its signature must have been checked before.

    :raises NotANode: it names no node, or more than one.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise NotANode("the certificate names no node") from error
    ids = [uri.removeprefix(_NODE_URI) for uri in uris if uri.startswith(_NODE_URI)]
    if len(ids) != 1 or not ids[0].isascii() or not ids[0].isdigit() or len(ids[0]) > 5:
        raise NotANode("the certificate names no node")
    if not 1 <= int(ids[0]) <= MAX_NODE_ID:
        raise NotANode(f"the certificate names node {ids[0]}, which cannot be")
    return int(ids[0])


@dataclass(frozen=True, slots=True)
class PemFiles:
    """Paths for ``criu --tls-cacert --tls-cert --tls-key``."""

    authorities: str
    certificate: str
    key: str


def write_pem_files(credentials: Credentials, directory: str, stem: str) -> PemFiles:
    """
    Write ``credentials`` to three files in ``directory``, mode 0600, each replaced atomically. Blocks.

    :raises OSError: it cannot be written.
    """
    files = PemFiles(*(os.path.join(directory, f"{stem}-{part}.pem") for part in ("ca", "cert", "key")))
    with _WRITING:
        for path, data in (
            (files.authorities, credentials.authorities_pem),
            (files.certificate, credentials.certificate_pem),
            (files.key, credentials.key_pem),
        ):
            replace_atomically(path, data)
    return files


def _authority_name(key: ClusterKey) -> x509.Name:
    """
    Return the name of an authority.

    It contains the key id, so that a new key has an authority of another name.
    """
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"gomd cluster {key.id.hex()}")])


def _signed(
    keys: Sequence[ClusterKey], subject: x509.Name, who: x509.GeneralName, own: Ed25519PrivateKey, serial: int
) -> Credentials:
    signer = Ed25519PrivateKey.from_private_bytes(keys[0].authority)
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = (
        _builder(subject, _authority_name(keys[0]), own.public_key(), serial)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(usages, critical=False)
        .add_extension(x509.SubjectAlternativeName([who]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, None)
    )
    return Credentials(certificate, own, tuple(map(authority, keys)))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Ed25519PublicKey, serial: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
