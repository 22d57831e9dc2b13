"""A viewer of a watch of other nodes goes at any moment: no node goes on sending to anybody."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from tests.integration.cluster_of import cluster_of
from tests.integration.daemon import Daemon
from tests.integration.jobs import until


def streams_of_daemons(daemon: Daemon) -> int:
    """Return how many streams other daemons have to this one."""
    with daemon.connect_unix() as line:
        line.ask("format json")
        [row] = line.ask("stats streams_in_daemons").rows
        return int(row["value"])


def test_no_stream_is_left(tmp_path: Path) -> None:
    """While the nodes are being connected to, too: at each of these moments in some stage of that."""
    with cluster_of(tmp_path / "cluster", 2) as (asked, other):
        path = asked.unix.removeprefix("unix:")
        for words in (b"watch -n 0.2 @2 ps", b"watch -n 0.2 @all ps"):
            for milliseconds in (0, 0, 1, 2, 4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60):
                with socket.socket(socket.AF_UNIX) as viewer:
                    viewer.connect(path)
                    viewer.sendall(b"format json\r\n" + words + b"\r\n")
                    time.sleep(milliseconds / 1000)
        until(lambda: streams_of_daemons(other) == 0)
