"""
The certificate of the HTTPS endpoint: the one that gomd.ini names, or a P-256 one that gomd makes for itself.

Browsers refuse the Ed25519 of the cluster's own certificates. A certificate made here is signed by itself, so
browsers ask once whether to trust it; the log has its fingerprint to compare.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from libgomd.durable import replace_atomically
from libgomd.errors import ConfigError

#: The file in STATE with the certificate that gomd made and its key.
FILE_NAME: Final = "http.pem"
#: How long such a certificate is good, and how long before its end it is made anew at a start.
LIFETIME: Final = timedelta(days=820)
RENEWAL: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """
    :ivar certificate, key: paths of PEM files. :ivar fingerprint: SHA-256 of the certificate.
    :ivar made: whether gomd made it.
    """

    certificate: str
    key: str
    fingerprint: str
    made: bool


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS:
    """The server's side of TLS 1.2 and 1.3, for `TLSMemoryBIOFactory`. HTTP/2 is not offered."""

    def __init__(self, files: ServerCertificate) -> None:
        """
        Read the files. Blocks.

        :raises ConfigError: they cannot be read, or the key is not that of the certificate.
        """
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
        try:
            context.use_certificate_chain_file(files.certificate)
            context.use_privatekey_file(files.key)
            context.check_privatekey()
        except (SSL.Error, OSError) as error:
            reason = getattr(error, "strerror", None) or _reason(error)
            raise ConfigError(
                [
                    f"[http] certificate = {files.certificate} and key = {files.key} cannot be used "
                    f"({reason}): name a PEM certificate and its private key"
                ]
            ) from error
        self._context = context

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Return the server side of a connection."""
        return SSL.Connection(self._context, None)


def _reason(error: BaseException) -> str:
    found = error.args[0] if error.args else ""
    if isinstance(found, list) and found:
        return str(found[-1][-1] or "no PEM")
    return str(found) or "no PEM"


def named_certificate(certificate: str, key: str) -> ServerCertificate:
    """
    Return the files that gomd.ini names. Blocks.

    :raises ConfigError: the key is open to others, or one of them cannot be read.
    """
    try:
        if os.stat(key).st_mode & 0o077:
            raise ConfigError([f"[http] key = {key} is open to others: chmod 600 {key}"])
        with open(certificate, "rb") as file:
            found = x509.load_pem_x509_certificate(file.read(1 << 20))
    except OSError as error:
        raise ConfigError(
            [f"[http] certificate or key: {error.filename} cannot be read: {error.strerror}"]
        ) from error
    except ValueError as error:
        raise ConfigError([f"[http] certificate = {certificate} is no PEM certificate"]) from error
    return ServerCertificate(certificate, key, fingerprint_of(found), made=False)


def own_certificate(state: str, names: Iterable[str], now: datetime | None = None) -> ServerCertificate:
    """
    Return the certificate in STATE that gomd has made; make it if it is missing, too old or for other names.

    Blocks.

    :param names: DNS names and IP addresses. :raises ConfigError: it cannot be written.
    """
    moment = now or datetime.now(timezone.utc)  # noqa: TID251 - a start, no timer
    path = os.path.join(state, FILE_NAME)
    wanted = tuple(dict.fromkeys(names))
    found = _read(path)
    if found is None or not _is_good(found, wanted, moment):
        found, pem = _make(wanted, moment)
        try:
            replace_atomically(path, pem)
        except OSError as error:
            raise ConfigError([f"{path} cannot be written: {error.strerror}"]) from error
    return ServerCertificate(path, path, fingerprint_of(found), made=True)


def fingerprint_of(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate, as browsers show it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _read(path: str) -> x509.Certificate | None:
    try:
        with open(path, "rb") as file:
            return x509.load_pem_x509_certificate(file.read(65536))
    except (OSError, ValueError):
        return None


def _is_good(found: x509.Certificate, wanted: tuple[str, ...], now: datetime) -> bool:
    until = found.not_valid_after.replace(tzinfo=timezone.utc)
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    known = {*names.get_values_for_type(x509.DNSName)}
    known |= {str(each) for each in names.get_values_for_type(x509.IPAddress)}
    return until - now > RENEWAL and set(wanted) <= known


def _make(wanted: tuple[str, ...], now: datetime) -> tuple[x509.Certificate, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"gomd {wanted[0]}"[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_name(each) for each in wanted]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate, certificate.public_bytes(Encoding.PEM) + private


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
