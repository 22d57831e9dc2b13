"""Settings of the command line: ``section.key=value``, and the short options that stand for some of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from libgomd.errors import ConfigError

#: The short options of `twistd gomd` and their lines in `--help`.
SHORT_OPTIONS: Final[Mapping[str, str]] = {
    "node-id": "number of this node, 1 to 65535; 0 for the low 16 bits of its IPv4 address, or, without "
    "one, a number made of the machine id",
    "name": "name of this node; by default the host's",
    "telnet": "where the telnet line listens, tcp:HOST:PORT or unix:PATH; beside a tcp endpoint "
    "the unix socket in the state directory stays",
    "peers": "ADDRESS:PORT at which the other nodes reach this one, [ADDRESS]:PORT for IPv6",
    "http": "where the page, the API and metrics are served, tcp:HOST:PORT or unix:PATH",
    "state-dir": "directory for the files that the daemon keeps",
    "source": "where the node's values come from: linux, openmosix or memory",
    "proc-root": "directory to read instead of /proc",
    "seeds": "nodes to contact when joining the cluster, HOST:PORT, several with commas",
    "key-file": "file with the cluster's key",
}

_PLAIN = {
    "node-id": "node.id",
    "name": "node.name",
    "http": "http.endpoint",
    "state-dir": "node.state_dir",
    "source": "node.source",
    "proc-root": "node.proc_root",
    "seeds": "peers.seeds",
    "key-file": "peers.key_file",
}


class Override(NamedTuple):
    """One setting of the command line."""

    section: str
    key: str
    value: str


def overrides_for(option: str, value: str) -> tuple[str, ...]:
    """
    Return the settings that a short option (without its dashes) stands for, as `load` takes them.

    :raises ConfigError: `--peers` is not HOST:PORT. :raises KeyError: there is no such short option.
    """
    if option == "telnet":
        beside = "" if "unix:" in value else ",unix:"
        return (f"telnet.endpoints={value}{beside}",)
    if option == "peers":
        host, colon, port = value.rpartition(":")
        if not (host and colon and port):
            raise ConfigError([f"--peers {value}: must be HOST:PORT, such as 10.0.0.1:5428"])
        if ":" in host and not (host.startswith("[") and host.endswith("]")):
            raise ConfigError(
                [f"--peers {value}: an IPv6 address stands in brackets, such as [fd00::1]:5428"]
            )
        return (f"peers.address={host}", f"peers.port={port}")
    return (f"{_PLAIN[option]}={value}",)


def parse_override(text: str) -> Override | None:
    """Return the setting that ``text`` makes, None when it is not ``section.key=value``."""
    name, equals, value = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (section and dot and key and equals):
        return None
    return Override(section, key, value.strip())
