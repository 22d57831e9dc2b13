"""Metrics of a real daemon, read as Prometheus would."""

from __future__ import annotations

import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon, output_of, run

NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def base_of(daemon: Daemon) -> str:
    """Where its pages are."""
    return "http://127.0.0.1:" + daemon.wait_for(r"the metrics are at tcp:127\.0\.0\.1:(\d+)")[1]


def fetch(url: str, method: str = "GET", accept: str = "*/*") -> tuple[str, str]:
    """Return the media type and the text of a page."""
    request = urllib.request.Request(url, method=method, headers={"Accept": accept})
    with NO_PROXY.open(request, timeout=PATIENCE) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def test_prometheus_gets_what_the_daemon_knows(start_daemon: StartDaemon) -> None:
    """This node's values, itself among the nodes, and every number of `stats`, in both formats."""
    daemon = start_daemon("--node-id", "9", "--name", "niner", "--http", "tcp:127.0.0.1:0")
    base = base_of(daemon)
    deadline = time.monotonic() + PATIENCE
    while True:  # the shares are known from the second sample on
        _, text = fetch(base + "/metrics")
        found = {family.name: family for family in parse_text(text)}
        if "gomd_cpu_busy_ratio" in found or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert 0 <= found["gomd_cpu_busy_ratio"].samples[0].value <= 1
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    assert found["gomd_memory_total_bytes"].samples[0].value == int(total.split()[1]) * 1024
    [up] = found["gomd_node_up"].samples
    assert (up.labels, up.value) == ({"node": "9", "name": "niner"}, 1)
    assert {sample.labels["interface"] for sample in found["gomd_network_sent_bytes"].samples} >= {"lo"}

    with daemon.connect() as line:
        names = {row.split()[0] for row in (line.ask("stats").block or ())[1:]}
    media_type, text = fetch(base + "/metrics", accept="application/openmetrics-text;version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    told = {family.name.removeprefix("gomd_") for family in parse_openmetrics(text)}
    assert {name for name in names if not name.endswith("_age")} - told == set()
    assert "http_requests" in names


def test_what_else_is_asked(start_daemon: StartDaemon) -> None:
    """The page at the root, 404, 405; and no word in the log for any of it."""
    daemon = start_daemon("--http", "tcp:127.0.0.1:0")
    base = base_of(daemon)
    assert fetch(base + "/")[0] == "text/html; charset=utf-8"
    for url, method, code in ((base + "/etc", "GET", 404), (base + "/metrics", "POST", 405)):
        with pytest.raises(urllib.error.HTTPError) as raised:
            fetch(url, method)
        assert raised.value.code == code
        raised.value.close()
    logged = len(daemon.lines)
    assert fetch(base + "/metrics", "HEAD")[1] == ""
    with socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])), PATIENCE) as junk:
        junk.sendall(b"\x16\x03\x01 this is no http\r\n\r\n")
        assert junk.recv(100).startswith(b"HTTP/1.1 400")
    assert daemon.lines[logged:] == []


def test_it_is_off_unless_asked_for(start_daemon: StartDaemon) -> None:
    """A daemon without it listens nowhere for it, and has nothing of it in memory."""
    daemon = start_daemon()
    assert "the metrics are at" not in daemon.log
    code = (
        "import sys, gomd.tap.service;"
        "print([name for name in ('prometheus_client', 'twisted.web') if name in sys.modules])"
    )
    assert output_of([sys.executable, "-c", code]) == "[]\n"


def test_anonymous_none_keeps_it_on_this_machine(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """An endpoint that others reach is refused in one sentence; a loopback one is not."""
    closed = "[telnet]\nanonymous = none\n"
    outcome = run(tmp_path, "--check", "--http", "tcp:0.0.0.0:2980", ini=closed)
    [sentence] = outcome.stderr.splitlines()
    assert outcome.returncode == 1
    assert "tells the network what [telnet] anonymous = none keeps from it" in sentence
    assert run(tmp_path, "--check", "--http", "tcp:0.0.0.0:2980").returncode == 0
    daemon = start_daemon("--http", "tcp:127.0.0.1:0", ini=closed)
    assert "gomd_load" in fetch(base_of(daemon) + "/metrics")[1]


def test_a_taken_port_refuses_the_start(tmp_path: Path) -> None:
    """In one sentence that names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = run(tmp_path, "--state-dir", str(tmp_path / "state"), "--http", f"tcp:127.0.0.1:{port}")
    [sentence] = outcome.stderr.splitlines()
    assert outcome.returncode == 1
    assert (
        f"cannot listen at tcp:127.0.0.1:{port} (Address already in use): change [http] endpoint" in sentence
    )
