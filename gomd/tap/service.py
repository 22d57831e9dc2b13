"""From options to the running daemon: STATE and ports are taken first, so that a start can be refused."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from twisted.application.service import IService

from gomd.config import Config
from gomd.services.limits import raise_file_limit, share_interpreter
from gomd.services.listening import Socket
from gomd.services.logging import DaemonLog
from gomd.services.state import StateDirectory
from gomd.tap.choices import http_of, manhole_of, node_id_of, telnet_endpoints
from gomd.tap.compose import compose
from gomd.tap.options import Options, refuse
from gomd.tap.peers import peer_sockets, read_keys_of
from libgomd.errors import ConfigError


def makeService(options: Options) -> IService:
    """Return the daemon, its STATE and sockets taken; one sentence and exit status 1 when it cannot."""
    from twisted.internet import reactor  # noqa: TID251 - the one place that names it

    config: Config = options["configuration"]
    raise_file_limit(config.telnet.max_connections + 2 * config.jobs.most + 256)
    share_interpreter()
    try:
        node_id = node_id_of(config)
        state = StateDirectory(config.node.state_dir)
        state.take()
        manhole, http = manhole_of(config), http_of(config)
        keys = read_keys_of(config)
        ports = peer_sockets(config)
        sockets = tuple(Socket("[telnet] endpoints", endpoint) for endpoint in telnet_endpoints(config))
        daemon = compose(config, reactor, sockets, node_id, manhole, ports, keys, http)
    except ConfigError as error:
        refuse(error)
    daemon.observer = make_log(config, options.parent or {})
    daemon.load = options.load
    reactor.callWhenRunning(state.sign)
    return daemon


def make_log(config: Config, twistd: Mapping[str, Any]) -> DaemonLog | None:
    """
    Return where the daemon's own log goes: where twistd's options say, in the format gomd.ini says.

    None when twistd was given a logger of its own, or syslog.
    """
    if twistd.get("logger") or twistd.get("syslog"):
        return None
    path = twistd.get("logfile") or ("-" if twistd.get("nodaemon") else "twistd.log")
    out: Any = sys.stdout
    if path != "-":
        from twisted.python.logfile import LogFile

        out = LogFile.fromFullPath(path, rotateLength=10_000_000, maxRotatedFiles=5)
    return DaemonLog(out, config.node.log_format, config.node.log_level)
