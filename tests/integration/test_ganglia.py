"""The Ganglia port of real daemons: gmond's XML, and a real gmetad that takes it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration import many_nodes
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon, run
from tests.integration.jobs import free_port

GMETAD = shutil.which("gmetad", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def read(port: int) -> bytes:
    """Return what is sent there until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def port_of(daemon: Daemon) -> int:
    """Return the Ganglia port of a daemon."""
    return int(daemon.wait_for(r"the Ganglia port is at tcp:127\.0\.0\.1:(\d+)")[1])


def test_the_cluster_as_gmond_sends_it(start_daemon: StartDaemon) -> None:
    """Well-formed whatever the names are; a byte that is sent there changes nothing."""
    ini = '[ganglia]\nendpoint = tcp:127.0.0.1:0\ncluster = "Röntgen & <Söhne>"\n'
    daemon = start_daemon("--node-id", "9", "--name", "niner", ini=ini)
    root = ElementTree.fromstring(read(port_of(daemon)))
    [cluster] = root
    assert cluster.get("NAME") == "Röntgen & <Söhne>"
    [host] = cluster
    assert (host.get("NAME"), host.get("IP")) == ("niner", "127.0.0.1")
    values = {metric.get("NAME"): metric.get("VAL") for metric in host}
    assert values["gomd_node"] == "9"
    assert int(values["cpu_num"] or 0) == os.cpu_count()
    held = [socket.create_connection(("127.0.0.1", port_of(daemon)), PATIENCE) for _ in range(100)]
    assert read(port_of(daemon)).endswith(b"</GANGLIA_XML>\n")
    for each in held:
        each.close()


def test_it_is_off_and_stays_closed_where_the_rest_is(tmp_path: Path) -> None:
    """An endpoint that others reach is refused with [telnet] anonymous = none, in one sentence."""
    ini = "[telnet]\nanonymous = none\n[ganglia]\nendpoint = tcp:0.0.0.0:0\n"
    outcome = run(tmp_path, "--check", ini=ini)
    assert outcome.returncode == 1
    assert "[ganglia] endpoint: tcp:0.0.0.0:0 tells the network" in outcome.stderr


@contextmanager
def gmetad(home: Path, source: int) -> Iterator[int]:
    """Run a gmetad that reads from a port; yield the port at which it gives what it took."""
    assert GMETAD is not None
    port = free_port()
    rrds = home / "rrds"
    rrds.mkdir(mode=0o777)
    rrds.chmod(0o777)
    home.chmod(0o755)
    config = home / "gmetad.conf"
    config.write_text(
        f'data_source "one" 1 127.0.0.1:{source}\nxml_port {port}\ninteractive_port {free_port()}\n'
        f'rrd_rootdir "{rrds}"\nsetuid off\ncase_sensitive_hostnames 1\n'
    )
    with subprocess.Popen(
        [GMETAD, "-d", "1", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield port
        finally:
            process.kill()


@pytest.mark.skipif(GMETAD is None, reason="gmetad is not installed")
def test_a_real_gmetad_takes_it(tmp_path: Path) -> None:
    """Every host with its values; one that is down is a host that was not heard for long."""
    daemon = Daemon(tmp_path / "d", "--set", "ganglia.endpoint=tcp:127.0.0.1:0", "--node-id", "1")
    many = (sys.executable, many_nodes.__file__, "40", *daemon._options)
    daemon.command = lambda: many  # type: ignore[method-assign]
    try:
        daemon.start()
        with gmetad(tmp_path, port_of(daemon)) as port:
            deadline = time.monotonic() + PATIENCE
            hosts: list[ElementTree.Element] = []
            while len(hosts) < 40 and time.monotonic() < deadline:
                time.sleep(0.5)
                try:
                    hosts = list(ElementTree.fromstring(read(port)).iter("HOST"))
                except (OSError, ElementTree.ParseError):
                    continue
    finally:
        daemon.end()
    by_name = {host.get("NAME"): host for host in hosts}
    assert len(by_name) == 40
    assert {each.get("NAME") for each in by_name["node-0002"]} >= {"load_one", "mem_total", "gomd_node"}
    assert int(by_name["node-0007"].get("TN") or 0) >= 100
