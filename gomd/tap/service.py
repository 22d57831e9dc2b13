"""From the options to the daemon. STATE and the ports are taken first, because they can refuse the start."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from twisted.application.service import IService

from gomd.config import Config
from gomd.protocols.handshakes import MAX_HANDSHAKES
from gomd.protocols.peer_server import MAX_NEW_STREAMS
from gomd.services.activation import take_sockets
from gomd.services.installed_files import installed_files
from gomd.services.journald import goes_to_journal
from gomd.services.logging import DaemonLog
from gomd.services.own_memory import forget_caches, use_one_heap
from gomd.services.pidfile import check_pid_file
from gomd.services.process_limits import lower_oom_score, raise_file_limit, share_interpreter
from gomd.services.signals import install_handlers
from gomd.services.state import StateDirectory, check_directory
from gomd.services.state_format import check_format, sign_format
from gomd.tap.choices import ganglia_of, manhole_of, node_id_of, telnet_endpoints
from gomd.tap.compose import Taken, compose
from gomd.tap.directories import check_directories
from gomd.tap.http import http_of
from gomd.tap.monotonic import use_monotonic_time
from gomd.tap.options import EX_TEMPFAIL, Options, refuse
from gomd.tap.peer_ports import max_streams, peer_sockets, read_keys_of
from libgomd.errors import ConfigError


def make_service(options: Options) -> IService:
    """Return the daemon with its STATE and sockets taken. If that fails, print why and exit."""
    from twisted.internet import reactor  # noqa: TID251 - the one place that names it

    use_monotonic_time(reactor)  # before anything is scheduled
    installed_files()  # as they are now
    config: Config = options["configuration"]
    # A signal is handled when the reactor runs, so the daemon that is made below exists by then.
    install_handlers(
        reactor, lambda: daemon.reload(), lambda: daemon.reopen_log(), lambda: daemon.stop("signal QUIT")
    )
    streams = sum(max_streams(config).values()) + MAX_NEW_STREAMS + MAX_HANDSHAKES
    raise_file_limit(config.telnet.max_connections + 2 * config.jobs.most + streams + 256)
    share_interpreter()
    use_one_heap()
    forget_caches()
    lower_oom_score()
    to_journal = goes_to_journal(sys.stdout, os.environ)
    try:
        check_directories(config)
        node_id = node_id_of(config)
        state = StateDirectory(config.node.state_dir)
        state.take()
        check_format(state.path)
        sign_format(state.path)
        check_directory("[jobs] spool", config.jobs.spool)
        check_pid_file(options.pid_file)
        passed = take_sockets(os.environ, os.getpid())
        manhole, http, ganglia = manhole_of(config), http_of(config, passed), ganglia_of(config)
        keys = read_keys_of(config)
        ports = peer_sockets(config)
        telnet = telnet_endpoints(config, options.around.runtime_directory)
        configured = [passed.socket("[telnet] endpoints", endpoint) for endpoint in telnet]
        sockets = (*configured, *passed.telnet())
        taken = Taken(node_id, sockets, ports, keys, http, manhole, ganglia)
        daemon = compose(config, reactor, taken)
        daemon.observer = make_log(config, options.parent or {}, to_journal)
    except ConfigError as error:
        refuse(error, EX_TEMPFAIL)
    if options.parent is not None:
        options.parent["pidfile"] = options.pid_file
    daemon.load = options.load_again
    reactor.callWhenRunning(state.sign)
    return daemon


def make_log(config: Config, twistd: Mapping[str, Any], to_journal: bool = False) -> DaemonLog | None:
    """
    Return the observer of the daemon's log, which goes where twistd's options say, in the format of gomd.ini.

    None if twistd has a logger of its own or uses syslog.

    :param to_journal: whether stdout is systemd's journal.
    :raises ConfigError: the file cannot be opened.
    """
    if twistd.get("logger") or twistd.get("syslog"):
        return None
    path = twistd.get("logfile") or ("-" if twistd.get("nodaemon") else "twistd.log")
    log_format, log_level = config.node.log_format, config.node.log_level
    if path == "-":
        return DaemonLog(sys.stdout, log_format, log_level, priorities=to_journal)
    from twisted.python.logfile import LogFile

    again = partial(
        LogFile.fromFullPath, os.path.abspath(path), rotateLength=10_000_000, maxRotatedFiles=5
    )  # fmt: skip
    try:
        out = again()
    except OSError as error:
        raise ConfigError(
            [f"the log {os.path.abspath(path)} cannot be opened ({error.strerror}): see --logfile of twistd"]
        ) from error
    return DaemonLog(out, log_format, log_level, again=again)
