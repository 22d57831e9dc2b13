"""
Measures the page and the API: in Chromium next to a static page with the same tiles, and without a browser.

The cluster of a thousand nodes is simulated; the daemon, its HTTP and the browser are real.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from bench.rows import Row, aim, compared, limit, unmeasured
from gomd.web.pages import STATIC
from tests.integration import many_nodes
from tests.integration.daemon import Daemon
from tests.integration.jobs import free_port
from tests.integration.page_browser import browser_or_skip, run_scenario
from tests.integration.web import Web

ROUNDS: Final = 31
STREAMS: Final = 100
#: Seconds for which the streams are measured.
STREAM_SECONDS: Final = 15.0
MOST_PAGE_BYTES: Final = 60 * 1024
#: Share of one processor that the streams may take, in percent.
MOST_STREAM_CPU: Final = 5.0


class Large(Daemon):
    """A daemon with simulated nodes beside it."""

    def __init__(self, home: Path, count: int) -> None:
        super().__init__(home, "--http", "tcp:127.0.0.1:0", "--node-id", "1")
        self._count = count

    def command(self) -> tuple[str, ...]:
        """The command that starts it."""
        return (sys.executable, many_nodes.__file__, str(self._count), *self._options)


@contextmanager
def large(count: int) -> Iterator[Daemon]:
    """Run a daemon in a cluster of ``count`` nodes."""
    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as directory:
        daemon = Large(Path(directory, "daemon"), count)
        try:
            yield daemon.start()
        finally:
            daemon.end()


def run() -> list[Row]:
    """Measure, and return the rows."""
    size = sum(len(gzip.compress(path.read_bytes(), 9)) for path in STATIC.iterdir())
    rows = [limit("the page's bytes on the wire", size, "B", MOST_PAGE_BYTES)]
    with large(1000) as daemon:
        rows.append(_nodes(daemon))
        rows.append(
            limit(f"{STREAMS} event streams of 1000 nodes", _streams(daemon), "% cpu", MOST_STREAM_CPU)
        )
        rows += _in_browser(daemon, 1000)
    with large(200) as daemon:
        rows += _in_browser(daemon, 200)[:1]
    rows.append(_metrics())
    return rows


def _nodes(daemon: Daemon) -> Row:
    """Compare `nodes` over HTTP with the telnet line in JSON, on held connections in turn."""
    api: list[float] = []
    line: list[float] = []
    with socket.create_connection(("127.0.0.1", daemon.port)) as telnet, ExitStack() as stack:
        web = http.client.HTTPConnection("127.0.0.1", Web(daemon).port)
        stack.callback(web.close)
        lines = telnet.makefile("rb")
        lines.readline()
        telnet.sendall(b"format json\r\n")
        lines.readline()
        for _ in range(ROUNDS):
            before = time.perf_counter()
            telnet.sendall(b"nodes\r\n")
            while lines.readline() != b".\r\n":
                pass
            between = time.perf_counter()
            web.request("GET", "/api/v1/nodes")
            web.getresponse().read()
            line.append((between - before) * 1e3)
            api.append((time.perf_counter() - between) * 1e3)
    return compared("API `nodes` of 1000", api[1:], "ms", "the telnet line's", line[1:], 2.0)


def _streams(daemon: Daemon) -> float:
    """Return the share of a processor that the streams cost the daemon, in percent."""
    request = b"GET /api/v1/watch/nodes?n=1 HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
    selector = selectors.DefaultSelector()
    with ExitStack() as stack:
        for _ in range(STREAMS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", Web(daemon).port)))
            connection.sendall(request)
            selector.register(connection, selectors.EVENT_READ)
        _read_for(selector, 3.0)
        before = _cpu(daemon.process.pid)
        _read_for(selector, STREAM_SECONDS)
        return 100 * (_cpu(daemon.process.pid) - before) / STREAM_SECONDS


def _read_for(selector: selectors.BaseSelector, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            found: Any = key.fileobj
            found.recv(1 << 18)


def _cpu(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / 100


def _in_browser(daemon: Daemon, count: int) -> list[Row]:
    """Compare the first paint and the updates with those of a static page, in Chromium."""
    try:
        browser_or_skip()
    except BaseException as error:
        return [unmeasured(f"first paint of {count} nodes", None, "ms", str(error), 2.0)]
    told: list[dict[str, Any]] = []

    def take(word: str) -> str:
        told.append(json.loads(word))
        return ""

    url = f"http://127.0.0.1:{Web(daemon).port}/"
    run_scenario("measure", take, url=url, count=count, rounds=7, seconds=10)
    [found] = told
    return [
        compared(f"first paint of {count} nodes", found["live"], "ms", "a static page", found["still"], 2.0),
        aim(
            f"an update of {count} tiles",
            found["liveUpdate"],
            "ms",
            "the shortest program",
            found["stillUpdate"],
            2.0,
        ),
    ]


def _metrics() -> Row:
    """Compare a scrape of one node's /metrics with one of prometheus-node-exporter."""
    program = shutil.which("prometheus-node-exporter")
    with large(1) as daemon, ExitStack() as stack:
        own = Web(daemon).port
        if program is None:
            ours = statistics.median(_scrape(own) for _ in range(ROUNDS))
            return unmeasured("/metrics of one node", ours * 1e3, "ms", "no node-exporter here", 0.5)
        port = free_port()
        process = stack.enter_context(subprocess.Popen(
            [program, f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ))  # fmt: skip
        stack.callback(process.kill)
        for _ in range(100):
            with contextlib.suppress(OSError):
                _scrape(port)
                break
            time.sleep(0.1)
        rounds = [(_scrape(own) * 1e3, _scrape(port) * 1e3) for _ in range(ROUNDS)]
    ours_all, theirs = zip(*rounds[1:], strict=True)
    return compared("/metrics of one node", ours_all, "ms", "prometheus-node-exporter", theirs, 0.5)


def _scrape(port: int) -> float:
    before = time.perf_counter()
    web = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        web.request("GET", "/metrics")
        assert web.getresponse().read()
    finally:
        web.close()
    return time.perf_counter() - before
