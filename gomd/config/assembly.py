"""Makes the frozen `Config` from checked values, resolves defaults, and finds contradictory settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any, Final

from gomd.config.environment import Environment
from gomd.config.inifile import Name
from gomd.config.settings import (
    CollectorSettings,
    Config,
    GangliaSettings,
    HistorySettings,
    HttpSettings,
    JobsSettings,
    ManholeSettings,
    NodeSettings,
    PeersSettings,
    TelnetSettings,
)
from libgomd.endpoints import SOCKET_NAME, Endpoint, Tcp, Unix
from libgomd.wire.addresses import is_link_local, is_loopback, is_unspecified

#: Longest path of a unix socket, in bytes: sun_path of Linux less its NUL.
MAX_SOCKET_PATH: Final = 107
#: Engine swim listens this far above the peer port (`gomd.cluster.swim.setup.PORT_OFFSET`).
SWIM_PORT_OFFSET: Final = 2
#: The agent of engine serf that gomd runs listens this far above it (`gomd.cluster.serf.agent_files`).
SERF_PORT_OFFSET: Final = 3
MAX_PORT: Final = 65535


def assemble(
    path: str | None,
    values: dict[str, dict[str, Any]],
    base: Callable[[Name], str],
    around: Environment,
    warnings: tuple[str, ...] = (),
) -> Config:
    """
    Return the `Config` for ``values``, which have all been checked.

    :param base: returns the directory that relative paths of a setting are relative to.
    :param warnings: become those of the `Config`.
    """

    def resolved(section: str, key: str, default: str = "") -> str:
        text = values[section][key] or default
        return os.path.normpath(os.path.join(base((section, key)), text)) if text else ""

    state = resolved("node", "state_dir", around.state_directory)

    def listening(endpoint: Endpoint, name: Name) -> Endpoint:
        if isinstance(endpoint, Tcp):
            return endpoint
        return Unix(
            os.path.join(base(name), endpoint.path) if endpoint.path else os.path.join(state, SOCKET_NAME)
        )

    def one_endpoint(section: str) -> Endpoint | None:
        found: Endpoint | None = values[section]["endpoint"]
        return found and listening(found, (section, "endpoint"))

    values["node"] |= {
        "name": values["node"]["name"] or around.node_name,
        "proc_root": resolved("node", "proc_root"),
        "state_dir": state,
    }
    values["telnet"] |= {
        "endpoints": tuple(
            listening(each, ("telnet", "endpoints")) for each in values["telnet"]["endpoints"]
        ),
        "tokens_file": resolved("telnet", "tokens_file", os.path.join(state, "tokens")),
    }
    here = base(("peers", "key_file"))
    keys = tuple(os.path.normpath(os.path.join(here, each)) for each in values["peers"]["key_file"])
    values["peers"] |= {
        "addresses": values["peers"].pop("address"),
        "groups": values["peers"].pop("multicast"),
    }
    values["peers"] |= {
        "key_file": keys,
        **{key: resolved("peers", key) for key in ("map_file", "serf_program", "serf_auth_file")},
    }
    values["history"] |= {
        "path": resolved("history", "path", os.path.join(state, "samples")),
        "file": resolved("history", "file", os.path.join(state, "history.sqlite")),
        "password_file": resolved("history", "password_file"),
    }
    values["jobs"] |= {"spool": resolved("jobs", "spool", os.path.join(state, "spool"))}
    return Config(
        path=path,
        node=NodeSettings(**values["node"]),
        telnet=TelnetSettings(**values["telnet"]),
        peers=PeersSettings(**values["peers"]),
        collector=CollectorSettings(**values["collector"]),
        history=HistorySettings(**values["history"]),
        commands=MappingProxyType(dict(sorted(values["commands"].items()))),
        http=HttpSettings(
            one_endpoint("http"),
            values["http"]["anonymous"],
            values["http"]["tls"],
            resolved("http", "certificate"),
            resolved("http", "key"),
            values["http"]["hosts"],
        ),
        ganglia=GangliaSettings(one_endpoint("ganglia"), values["ganglia"]["cluster"]),
        manhole=ManholeSettings(one_endpoint("manhole"), resolved("manhole", "authorized_keys")),
        jobs=JobsSettings(**values["jobs"]),
        warnings=warnings,
    )


def contradictions(config: Config) -> Iterator[tuple[tuple[Name, ...], str]]:
    """Yield contradictions: the settings concerned, the one to correct first, and a sentence."""
    peers = config.peers
    if not is_loopback(peers.address) and not peers.key_file:
        yield (
            (("peers", "address"), ("peers", "key_file")),
            f"{' and '.join(peers.addresses)} {'are' if len(peers.addresses) > 1 else 'is'} open to other "
            "machines and there is no [peers] key_file: make one with `gom key new FILE` and set key_file to "
            "it, or use address 127.0.0.1",
        )
    if "map" in peers.engine and not peers.map_file:
        yield (
            (("peers", "engine"), ("peers", "map_file")),
            "engine map needs [peers] map_file, the list of nodes",
        )
    yield from _engine_contradictions(peers)
    for address in filter(is_unspecified, peers.addresses):
        if peers.discovery and peers.port == peers.groups[":" in address].port:
            yield (
                (("peers", "multicast"), ("peers", "port"), ("peers", "address")),
                f"[peers] port takes {peers.port} at all addresses: choose another port for "
                "[peers] multicast",
            )
    if config.manhole.endpoint and not config.manhole.authorized_keys:
        yield (
            (("manhole", "endpoint"), ("manhole", "authorized_keys")),
            "the manhole accepts public keys only: set [manhole] authorized_keys to a file with some",
        )
    if "postgresql" in config.history.kind and not config.history.database:
        yield (
            (("history", "kind"), ("history", "database")),
            "postgresql needs [history] database, such as dbname=gomd; docs/history.md says how to make one",
        )
    yield from _clashes(config)


def _engine_contradictions(peers: PeersSettings) -> Iterator[tuple[tuple[Name, ...], str]]:
    """Yield what does not fit to the engines."""
    for engine in sorted({"swim", "serf"} & set(peers.engine)) if is_link_local(peers.address) else ():
        yield (
            (("peers", "address"), ("peers", "engine")),
            f"engine {engine} cannot use {peers.address}, a link-local address: use engine heartbeat or "
            "another address",
        )
    own_agent = "serf" in peers.engine and peers.serf_rpc is None
    offsets = {"swim": SWIM_PORT_OFFSET if "swim" in peers.engine else 0}
    offsets["serf"] = SERF_PORT_OFFSET if own_agent else 0
    for engine, offset in offsets.items():
        for port in (peers.port, *(seed.port for seed in peers.seeds)) if offset else ():
            if port + offset > MAX_PORT:
                yield (
                    (("peers", "port" if port == peers.port else "seeds"), ("peers", "engine")),
                    f"engine {engine} listens {offset} above {port}, and the highest port is {MAX_PORT}: "
                    "choose a lower port",
                )
    if {"heartbeat", "map"} <= set(peers.engine):
        yield (
            (("peers", "engine"),),
            "heartbeat and map are one protocol and cannot run beside each other: use one of them",
        )
    if peers.serf_auth_file and peers.serf_rpc is None:
        yield (
            (("peers", "serf_auth_file"), ("peers", "serf_rpc")),
            "serf_auth_file is for an agent of your own: set [peers] serf_rpc to its HOST:PORT, or leave "
            "both empty and gomd runs one",
        )


def _clashes(config: Config) -> Iterator[tuple[tuple[Name, ...], str]]:
    peers = config.peers
    taken: list[tuple[Endpoint, Name]] = [
        (Tcp(each, peers.port), ("peers", "port")) for each in peers.addresses
    ]
    named = [(("telnet", "endpoints"), endpoint) for endpoint in config.telnet.endpoints]
    named += [(("http", "endpoint"), config.http.endpoint)] if config.http.endpoint else []
    named += [(("ganglia", "endpoint"), config.ganglia.endpoint)] if config.ganglia.endpoint else []
    named += [(("manhole", "endpoint"), config.manhole.endpoint)] if config.manhole.endpoint else []
    for name, endpoint in named:
        if isinstance(endpoint, Unix) and len(os.fsencode(endpoint.path)) > MAX_SOCKET_PATH:
            yield (
                (name, ("node", "state_dir")),
                f"the path of a unix socket is at most {MAX_SOCKET_PATH} bytes, {endpoint.path} is longer: "
                "choose a shorter [node] state_dir or unix:PATH",
            )
        other = next((owner for known, owner in taken if _is_same_place(known, endpoint)), None)
        if other is not None:
            yield (
                (name, other),
                f"{endpoint} is already [{other[0]}] {other[1]}: choose another endpoint",
            )
        taken.append((endpoint, name))


def _is_same_place(one: Endpoint, other: Endpoint) -> bool:
    """Return whether only one socket can listen at both endpoints. Host names are not looked up."""
    if not (isinstance(one, Tcp) and isinstance(other, Tcp)):
        return one == other
    if one.port != other.port or not one.port:
        return False
    hosts = {one.host, other.host}
    return len(hosts) == 1 or "::" in hosts or ("0.0.0.0" in hosts and not any(":" in each for each in hosts))
