"""Certificates of a cluster and the TLS between its daemons, shaken hands with in memory."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.test.iosim import connect, makeFakeClient, makeFakeServer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from libgomd.certificates import (
    Credentials,
    NotANode,
    authority,
    node_credentials,
    node_of,
    page_server_credentials,
    write_pem_files,
)
from libgomd.derivation import ClusterKey
from libgomd.tls import MutualTLS, peer_node
from tests.unit.scratch import scratch

ONE = ClusterKey.derive(bytes(32))
TWO = ClusterKey.derive(b"\2" * 32)


class Side(Protocol):
    """Says hello and keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost: Failure | None = None

    def connectionMade(self) -> None:
        self.transport.write(b"hello")  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class Other:
    """A peer that is not gomd: its context is as the test made it."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._context, None)

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._context, None)


def shake(server: MutualTLS | Other, client: MutualTLS | Other) -> tuple[Side, Side]:
    """Connect two sides in memory and let them talk until nothing moves any more."""
    clock = Clock()
    sides, ends = (Side(), Side()), []
    for creator, side in ((server, sides[0]), (client, sides[1])):
        factory = TLSMemoryBIOFactory(creator, side is sides[1], Factory(), clock=clock)
        ends.append(TLSMemoryBIOProtocol(factory, side))
    pump = connect(ends[0], makeFakeServer(ends[0]), ends[1], makeFakeClient(ends[1]), clock=clock)
    for _ in range(20):
        pump.pump()
        clock.advance(0)
    return sides


def node_at_the_end_of(side: Side) -> int:
    return peer_node(cast(Any, side.transport))


def of(keys: Sequence[ClusterKey], node: int) -> MutualTLS:
    return MutualTLS(node_credentials(keys, node, f"node-{node}"))


class HandshakeTests(SynchronousTestCase):
    def test_two_nodes_of_a_cluster_know_each_other(self) -> None:
        """Each side hears the other and reads from its certificate which node it is, in TLS 1.3."""
        server, client = shake(of([ONE], 1), of([ONE], 65535))
        self.assertEqual((server.heard, client.heard), (b"hello", b"hello"))
        self.assertEqual(node_at_the_end_of(server), 65535)
        self.assertEqual(node_at_the_end_of(client), 1)
        self.assertEqual(cast(Any, client.transport).getHandle().get_protocol_version_name(), "TLSv1.3")

    def test_a_wrong_key_gets_nothing(self) -> None:
        """A node with another key file hears nothing and is heard by nobody, whoever calls."""
        for one, other in ((of([ONE], 1), of([TWO], 2)), (of([TWO], 2), of([ONE], 1))):
            server, client = shake(one, other)
            self.assertEqual((server.heard, client.heard), (b"", b""))
            self.assertIsNotNone(server.lost)
            self.assertIsNotNone(client.lost)

    def test_while_the_key_changes_both_authorities_are_believed(self) -> None:
        """Nodes with the old key, with both, and with the new one first all reach the next step's nodes."""
        old, both, swapped, new = [ONE], [ONE, TWO], [TWO, ONE], [TWO]
        for one, other in ((old, both), (both, swapped), (swapped, new), (both, both), (swapped, swapped)):
            for server_keys, client_keys in ((one, other), (other, one)):
                server, client = shake(of(server_keys, 1), of(client_keys, 2))
                self.assertEqual((server.heard, client.heard), (b"hello", b"hello"))

    def test_a_caller_without_a_certificate_is_refused(self) -> None:
        """A TLS client that knows nothing of the cluster gets not one byte."""
        server, client = shake(of([ONE], 1), Other(SSL.Context(SSL.TLS_METHOD)))
        self.assertEqual((server.heard, client.heard), (b"", b""))
        self.assertIsNotNone(server.lost)

    def test_a_certificate_that_signs_itself_is_refused(self) -> None:
        """Naming the authority is not enough: a certificate with its name and another key fails."""
        forged = node_credentials([TWO], 1, "mallory")
        own = Ed25519PrivateKey.generate()
        name = authority(ONE).subject
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(own.public_key())
            .serial_number(1)
            .not_valid_before(forged.certificate.not_valid_before_utc)
            .not_valid_after(forged.certificate.not_valid_after_utc)
            .sign(own, None)
        )
        stranger = MutualTLS(Credentials(certificate, own, (authority(ONE),)))
        server, _ = shake(of([ONE], 1), stranger)
        self.assertEqual(server.heard, b"")
        self.assertIsNotNone(server.lost)

    def test_a_clock_that_is_wrong_by_decades_shuts_nobody_out(self) -> None:
        """A machine without a clock of its own begins in 1970; here the certificate begins in the future."""
        mine = node_credentials([ONE], 2, "two")
        made = (
            x509.CertificateBuilder()
            .subject_name(mine.certificate.subject)
            .issuer_name(mine.certificate.issuer)
            .public_key(mine.certificate.public_key())
            .serial_number(7)
            .not_valid_before(mine.certificate.not_valid_after_utc.replace(year=9000))
            .not_valid_after(mine.certificate.not_valid_after_utc)
        )
        for extension in mine.certificate.extensions:
            made = made.add_extension(extension.value, extension.critical)
        early = made.sign(Ed25519PrivateKey.from_private_bytes(ONE.authority), None)
        for one, other in ((1, 0), (0, 1)):
            pair = (of([ONE], 1), MutualTLS(Credentials(early, mine.key, mine.authorities)))
            server, client = shake(pair[one], pair[other])
            self.assertEqual((server.heard, client.heard), (b"hello", b"hello"))

    def test_tls_1_2_is_refused(self) -> None:
        """A peer that cannot speak TLS 1.3 is refused, even with the right certificate."""
        mine = node_credentials([ONE], 2, "two")
        for newest, heard in ((SSL.TLS1_3_VERSION, b"hello"), (SSL.TLS1_2_VERSION, b"")):
            context = SSL.Context(SSL.TLS_METHOD)
            context.set_max_proto_version(newest)
            context.use_certificate(mine.certificate)
            context.use_privatekey(mine.key)
            server, client = shake(of([ONE], 1), Other(context))
            self.assertEqual((server.heard, client.heard), (heard, heard))
            self.assertEqual(server.lost is None, bool(heard))

    def test_before_the_handshake_nobody_is_known(self) -> None:
        """Asking for the peer too early is an error, not node 0."""
        factory = TLSMemoryBIOFactory(of([ONE], 1), False, Factory(), clock=Clock())
        protocol = TLSMemoryBIOProtocol(factory, Side())
        protocol.makeConnection(makeFakeServer(protocol))
        self.assertRaises(NotANode, peer_node, cast(Any, protocol))

    def test_the_page_server_is_no_node(self) -> None:
        """criu's certificate is of the cluster, but no daemon takes it for a node."""
        server, _ = shake(of([ONE], 1), MutualTLS(page_server_credentials([ONE])))
        self.assertRaises(NotANode, node_at_the_end_of, server)


class CertificateTests(SynchronousTestCase):
    def test_every_node_makes_the_same_authority(self) -> None:
        """Two nodes that never met have the very same authority and page server certificate."""
        self.assertEqual(authority(ONE), authority(ClusterKey.derive(bytes(32))))
        self.assertNotEqual(authority(ONE).subject, authority(TWO).subject)
        one, again = page_server_credentials([ONE]), page_server_credentials([ONE])
        self.assertEqual(
            one.certificate.public_bytes(Encoding.DER), again.certificate.public_bytes(Encoding.DER)
        )
        self.assertEqual(one.key_pem, again.key_pem)

    def test_every_start_has_a_key_of_its_own(self) -> None:
        """A daemon's key is fresh at each start and its certificate is for both sides of TLS."""
        one, again = node_credentials([ONE], 7, "kühl"), node_credentials([ONE], 7, "kühl")
        self.assertNotEqual(one.key_pem, again.key_pem)
        self.assertNotEqual(one.certificate.serial_number, again.certificate.serial_number)
        usage = one.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual(set(usage), {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH})
        self.assertEqual(node_of(one.certificate), 7)
        one.certificate.verify_directly_issued_by(authority(ONE))
        self.assertRaises(ValueError, node_credentials, [ONE], 0, "zero")
        self.assertRaises(ValueError, node_credentials, [ONE], 65536, "many")

    def test_a_certificate_that_names_no_node(self) -> None:
        """Only the one exact form of a node's name is taken."""
        own = Ed25519PrivateKey.generate()
        plain = authority(ONE)
        for uris in (
            [], ["gomd://node/"], ["gomd://node/0"], ["gomd://node/65536"], ["gomd://node/1x"],
            ["gomd://node/-1"], ["gomd://node/%31"], ["http://node/1"], ["gomd://node/1", "gomd://node/2"],
            ["gomd://node/999999999999"],
        ):  # fmt: skip
            names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
            certificate = (
                x509.CertificateBuilder()
                .subject_name(plain.subject)
                .issuer_name(plain.subject)
                .public_key(own.public_key())
                .serial_number(9)
                .not_valid_before(plain.not_valid_before_utc)
                .not_valid_after(plain.not_valid_after_utc)
                .add_extension(x509.SubjectAlternativeName([x509.DNSName("node"), *names]), critical=False)
                .sign(own, None)
            )
            self.assertRaises(NotANode, node_of, certificate)
        self.assertRaises(NotANode, node_of, plain)

    def test_secrets_are_not_shown(self) -> None:
        """Credentials in a log do not show their key."""
        self.assertNotIn("key=", repr(node_credentials([ONE], 7, "seven")))

    def test_criu_gets_its_files(self) -> None:
        """The PEM files are their owner's alone, are replaced in one go, and Python's own TLS loads them."""
        directory = scratch(self)
        os.mkdir(directory)
        for credentials in (page_server_credentials([ONE]), page_server_credentials([TWO, ONE])):
            files = write_pem_files(credentials, directory, "page-server")
            for path in (files.authorities, files.certificate, files.key):
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(len(os.listdir(directory)), 3)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        context.load_verify_locations(files.authorities)
        self.assertEqual(len(context.get_ca_certs()), 2)

    def test_the_files_may_be_written_at_the_same_time(self) -> None:
        """Moves begin whenever they do: each finds whole files."""
        directory = scratch(self)
        os.mkdir(directory)
        credentials = page_server_credentials([ONE])
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _: write_pem_files(credentials, directory, "p"), range(80)))
        self.assertEqual(len(set(made)), 1)
        self.assertEqual(len(os.listdir(directory)), 3)
