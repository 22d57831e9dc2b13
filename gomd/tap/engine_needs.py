"""What the membership engines need that an installation may not have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

from gomd.config import Config
from libgomd.installation import installation


def engine_mistakes(config: Config) -> Iterator[str]:
    """Yield a sentence for everything that the engines need and this installation does not have."""
    peers = config.peers
    if "swim" in peers.engine and find_spec("kinship") is None:
        yield (
            "[peers] engine: swim needs the package kinship "
            f"({installation().libraries('swim')}): or choose heartbeat, serf or map"
        )
    if "serf" in peers.engine and find_spec("msgpack") is None:
        yield (f"[peers] engine: serf needs the package msgpack: {installation().libraries('serf')}")
    if "serf" in peers.engine and peers.serf_rpc is None and not os.access(peers.serf_program, os.X_OK):
        yield (
            f"[peers] engine: there is no program {peers.serf_program}: apt install serf, set [peers] "
            "serf_program to where it is, or set serf_rpc to an agent of your own"
        )


def check_auth_file(config: Config) -> None:
    """
    Check the file with the auth key of the administrator's Serf agent. Blocks.

    :raises ConfigError: it cannot be used.
    """
    peers = config.peers
    if "serf" in peers.engine and peers.serf_auth_file and find_spec("msgpack") is not None:
        from gomd.cluster.serf import read_auth_file

        read_auth_file(peers.serf_auth_file)
