"""
What `twistd gomd --check` checks beyond gomd.ini: the files that it names, addresses, and names of hosts.

A configuration that passes can be started, as far as that is known without taking STATE and ports, which a
running daemon may have with this same configuration. While that daemon runs, an address or name that is
missing now is only a warning: a reload must not fail because of it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from gomd.cluster.seeds import is_name, look_up, reason_of
from gomd.config import Config
from gomd.services.listening import allow_tentative, check_socket_directory
from gomd.services.listening import reason_of as bind_reason
from gomd.services.state import StateDirectory, check_directory
from gomd.services.state_format import check_format
from gomd.tap.choices import check_manhole, node_id_of
from gomd.tap.databases import check_database
from gomd.tap.directories import check_directories
from gomd.tap.engine_needs import check_auth_file
from gomd.tap.http import check_certificate
from gomd.tap.peer_ports import read_keys_of
from libgomd.endpoints import Endpoint, Tcp, Unix
from libgomd.errors import ConfigError
from libgomd.tokens import read_tokens

#: Seconds that all look-ups of names together may take.
LOOKUP_TIMEOUT: Final = 5.0


def mistakes_in_files(config: Config) -> list[str]:
    """Return a sentence for each file, directory or address that would refuse a start. Blocks."""
    found: list[str] = []
    checks: tuple[Callable[[Config], object], ...] = (
        check_directories, _check_state, _check_keys, node_id_of, _check_map, check_manhole, _check_tokens,
        check_auth_file,
        check_certificate, check_database,
    )  # fmt: skip
    if not _is_running(config.node.state_dir):
        checks += (_check_places,)
    for check in checks:
        try:
            check(config)
        except ConfigError as error:
            found += (each for each in error.mistakes if each not in found)
    return found


def _is_running(state: str) -> bool:
    """Return whether a daemon uses STATE now; False if that cannot be found out."""
    try:
        lock = os.open(os.path.join(state, "lock"), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _check_state(config: Config) -> None:
    StateDirectory(config.node.state_dir).check()
    check_format(config.node.state_dir)
    check_directory("[jobs] spool", config.jobs.spool)


def _check_keys(config: Config) -> None:
    if config.peers.key_file:
        read_keys_of(config)


def _check_map(config: Config) -> None:
    if "map" in config.peers.engine and config.node.source != "openmosix":
        from gomd.tap.nodemap import read_map

        read_map(config)


def _check_tokens(config: Config) -> None:
    read_tokens(config.telnet.tokens_file)


def _check_places(config: Config) -> None:
    """Check that this machine has the addresses and directories to listen at. Ports may be in use."""
    peers = config.peers
    named: list[tuple[str, Endpoint]] = [
        ("[peers] address", Tcp(each, peers.port)) for each in peers.addresses
    ]
    named += [("[telnet] endpoints", endpoint) for endpoint in config.telnet.endpoints]
    for section in ("http", "ganglia", "manhole"):
        endpoint = getattr(config, section).endpoint
        named += [(f"[{section}] endpoint", endpoint)] if endpoint is not None else []
    mistakes = []
    for setting, endpoint in named:
        try:
            _try_tcp(endpoint) if isinstance(endpoint, Tcp) else _try_unix(endpoint, config.node.state_dir)
        except OSError as error:
            reason = bind_reason(error, endpoint.host if isinstance(endpoint, Tcp) else "")
            mistakes.append(f"cannot listen at {endpoint} ({reason}): change {setting}")
    if mistakes:
        raise ConfigError(mistakes)


def _try_tcp(endpoint: Tcp) -> None:
    family, kind, protocol, _name, address = socket.getaddrinfo(
        endpoint.host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        allow_tentative(probe, endpoint.host)
        probe.bind(address)


def _try_unix(endpoint: Unix, state: str) -> None:
    if os.path.lexists(endpoint.path):
        if not stat.S_ISSOCK(os.lstat(endpoint.path).st_mode):
            raise OSError(None, "there is a file that is not a socket")
        return
    directory = os.path.dirname(endpoint.path)
    if directory == state:
        return
    if os.path.isdir(directory):
        check_socket_directory(os.stat(directory))
    elif not os.path.isdir(directory := os.path.dirname(directory)):
        raise OSError(None, f"there is no directory {directory}")
    if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
        raise OSError(None, f"nothing can be made in {directory}")


def warnings_of(config: Config) -> Iterator[str]:
    """Yield a sentence for each address or name that is missing now, but may come later. Blocks."""
    if _is_running(config.node.state_dir):
        try:
            _check_places(config)
        except ConfigError as error:
            yield from (f"{mistake}; the running daemon is not affected" for mistake in error.mistakes)
    yield from _unknown_seeds(config)


def _unknown_seeds(config: Config, limit: float = LOOKUP_TIMEOUT) -> Iterator[str]:
    """
    Yield a sentence for each seed whose name cannot be looked up now. Blocks, at most ``limit`` seconds.

    This is not a mistake, because a running daemon looks names up periodically.
    """
    names = sorted({seed.host for seed in config.peers.seeds if is_name(seed.host)})
    answers: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def ask(name: str) -> None:
        try:
            look_up(name)
        except OSError as error:
            answers.put((name, reason_of(error)))
        else:
            answers.put((name, ""))

    for name in names:
        Thread(target=ask, args=(name,), daemon=True).start()
    reasons = dict.fromkeys(names, f"no answer in {limit:g} s")
    end = time.monotonic() + limit
    for _ in names:
        try:
            name, reason = answers.get(timeout=max(0.01, end - time.monotonic()))
        except Empty:
            break
        reasons[name] = reason
    for name, reason in reasons.items():
        if reason:
            yield (
                f"[peers] seeds: {name} cannot be looked up now ({reason}): gomd would start, and try again "
                "periodically"
            )
