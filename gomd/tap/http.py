"""The HTTP way in, as gomd.ini has it: its socket, its certificate, and who may do what there."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gomd.config import Config
from gomd.config.reachable import on_this_machine
from gomd.services.activation import PassedSockets
from gomd.services.listening import Socket
from libgomd.endpoints import Endpoint, Tcp
from libgomd.errors import ConfigError

if TYPE_CHECKING:
    from gomd.web.access import AccessRules
    from gomd.web.certificate import ServerCertificate


@dataclass(frozen=True)
class HttpWayIn:
    """
    What the HTTP way in is made of.

    :ivar make: makes the site. :ivar rules: who may do what, for a configuration.
    :ivar certificate: None without TLS. :ivar url: of the page, for a browser of this machine.
    """

    socket: Socket
    make: Callable[..., Any]
    rules: Callable[[Config], AccessRules]
    certificate: ServerCertificate | None
    url: str


def http_of(config: Config, passed: PassedSockets) -> HttpWayIn | None:
    """
    Return the HTTP way in, None if it is off. Blocks briefly: a certificate may have to be made.

    :param passed: sockets from systemd; one named http switches it on.
    :raises ConfigError: the port or the certificate cannot be used.
    """
    given = passed.http()
    if given is None and config.http.endpoint is None:
        return None
    mistakes = list(http_mistakes(given.endpoint, config)) if given is not None else []
    if mistakes:
        raise ConfigError(mistakes)
    from gomd.web.site import WebSite

    if given is None:
        assert config.http.endpoint is not None
        given = passed.socket("[http] endpoint", config.http.endpoint)
    endpoint = given.endpoint
    full_name = _full_name()
    certificate = _certificate(config, endpoint, full_name) if config.http.tls else None
    return HttpWayIn(
        given, WebSite, lambda new: rules_of(new, endpoint, full_name), certificate,
        _url(config, endpoint),
    )  # fmt: skip


def rules_of(config: Config, endpoint: Endpoint, full_name: str = "") -> AccessRules:
    """Return who may do what at ``endpoint``. :param full_name: of this machine, as its resolver has it."""
    from gomd.web.access import METRICS, READ, AccessRules, known_hosts

    here, http = on_this_machine(endpoint), config.http
    anonymous = http.anonymous
    if anonymous == "auto":
        anonymous = READ if here and config.telnet.anonymous == "read" else METRICS
    names = [config.node.name, full_name, *http.hosts]
    if isinstance(endpoint, Tcp):
        names.append(endpoint.host)
    return AccessRules(anonymous, here or http.tls, http.tls, known_hosts(names))


def check_certificate(config: Config) -> None:
    """Check the certificate that gomd.ini names, if it is used. Blocks. :raises ConfigError: it cannot be."""
    http = config.http
    if http.endpoint is None or not http.tls or not http.certificate:
        return
    from gomd.web.certificate import ServerTLS, named_certificate

    ServerTLS(named_certificate(http.certificate, http.key or http.certificate))


def _certificate(config: Config, endpoint: Endpoint, full_name: str) -> ServerCertificate:
    from gomd.web.certificate import named_certificate, own_certificate

    http = config.http
    check_certificate(config)
    if http.certificate:
        return named_certificate(http.certificate, http.key or http.certificate)
    names = [config.node.name, full_name, *http.hosts, "localhost", "127.0.0.1", "::1"]
    if isinstance(endpoint, Tcp) and endpoint.host not in ("0.0.0.0", "::"):
        names.append(endpoint.host)
    return own_certificate(config.node.state_dir, [each for each in names if each.isascii() and each])


def _url(config: Config, endpoint: Endpoint) -> str:
    """Return the URL of the page for a browser of this machine; empty when it has none, at a unix socket."""
    if not isinstance(endpoint, Tcp):
        return ""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(endpoint.host, endpoint.host)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{'https' if config.http.tls else 'http'}://{host}:{endpoint.port}/"


def _full_name() -> str:
    """Return the full name of this machine from /etc/hosts alone: a name server may hang."""
    own = socket.gethostname()
    try:
        with open("/etc/hosts", encoding="utf-8", errors="replace") as file:
            for line in file.read(1 << 20).splitlines():
                names = line.partition("#")[0].split()[1:]
                if own in names:
                    return next((each for each in names if each.startswith(f"{own}.")), "")
    except OSError:
        pass
    return own if "." in own else ""


def http_mistakes(endpoint: Endpoint, config: Config) -> Iterator[str]:
    """Yield a sentence for each reason why nothing can be served at ``endpoint``."""
    http = config.http
    if config.telnet.anonymous == "none" and http.anonymous == "auto" and not on_this_machine(endpoint):
        yield (
            f"[http] endpoint: {endpoint} tells the network what [telnet] anonymous = none keeps from it: "
            "use a loopback address or a unix socket, or choose [http] anonymous"
        )
    if bool(http.certificate or http.key) and not http.tls:
        yield "[http] certificate and key are used with tls = yes only: set it, or leave them empty"
    if http.key and not http.certificate:
        yield "[http] key: the certificate to it is missing: set [http] certificate"


def ganglia_mistakes(config: Config) -> Iterator[str]:
    """Yield a sentence if the Ganglia port would open what is closed elsewhere."""
    endpoint = config.ganglia.endpoint
    if config.telnet.anonymous == "none" and endpoint is not None and not on_this_machine(endpoint):
        yield (
            f"[ganglia] endpoint: {endpoint} tells the network what [telnet] anonymous = none keeps from it: "
            "use a loopback address or a unix socket"
        )
