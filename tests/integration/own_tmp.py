"""Hosts that have their own /tmp, /var/tmp and /dev/shm, as machines do; all else of the disk they share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libgomd.keys import new_key_file
from tests.integration.cluster.asking import see, start
from tests.integration.hosts import Network

#: Where the hosts' own files can be: not below what they have each their own of.
_HOMES = "/var/lib"


@contextmanager
def own_tmp_hosts(criu: str, count: int = 2, more: str = "") -> Iterator[Network]:
    """Make hosts that know each other, started. :param more: lines of their section [jobs]."""
    home = Path(tempfile.mkdtemp(prefix="gomd-own-tmp-", dir=_HOMES))
    try:
        new_key_file(str(home / "key"))
        with Network(home) as network:
            for _ in range(count):
                host = network.add(home / "key")
                host.more = f"[jobs]\ncriu = {criu}\n{more}"
                for place in ("/tmp", "/var/tmp", "/dev/shm"):
                    host.run("mount", "-t", "tmpfs", "-o", "mode=1777", "none", place)
            start(network.hosts)
            see(network.hosts, frozenset(range(1, count + 1)))
            yield network
    finally:
        shutil.rmtree(home)
