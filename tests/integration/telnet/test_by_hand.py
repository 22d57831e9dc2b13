"""The telnet line with the programs people have: telnet and nc."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess

import pytest

from tests.integration.daemon import PATIENCE, Daemon, output_of


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where ``program`` is not installed."""
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


@needs("telnet")
def test_with_the_telnet_client(daemon: Daemon) -> None:
    """Its option bytes are no trouble; `quit` ends it."""
    with subprocess.Popen(
        ["telnet", "127.0.0.1", str(daemon.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        expiry = signal.alarm(int(PATIENCE))
        assert any(text.startswith("220 gomd ") for text in client.stdout)
        client.stdin.write("load\nget /proc/version\nquit\n")
        client.stdin.flush()
        rest = client.stdout.read()
        signal.alarm(expiry)
    assert re.search(r"^200 \d+$", rest, re.MULTILINE)
    assert "Linux version" in rest
    assert "221 bye" in rest


@needs("nc")
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_with_nc(daemon: Daemon, end: str) -> None:
    """What is piped in is answered in order, and the connection ends."""
    found = output_of(
        ["nc", "127.0.0.1", str(daemon.port)], end.join(["cpus", "speed", "quit", ""])
    ).splitlines()
    assert found[0].startswith("220 gomd ")
    assert found[1] == f"200 {os.cpu_count()}"
    assert re.fullmatch(r"200 [1-9]\d*", found[2])
    assert found[3:] == ["221 bye"]


@needs("nc")
def test_with_nc_that_says_no_more(daemon: Daemon) -> None:
    """`echo ps | nc -N` gets the whole table, then the end."""
    found = output_of(["nc", "-N", "127.0.0.1", str(daemon.port)], "ps\nload\n").splitlines()
    assert found[1].startswith("201 ")
    end = found.index(".")
    assert found[2].split()[:2] == ["NODE", "PID"]
    assert any(text.split()[1] == "1" for text in found[3:end])
    assert found[end + 1].startswith("200 ")
    assert len(found) == end + 2


@needs("nc")
def test_with_nc_over_the_unix_socket(daemon: Daemon) -> None:
    """The kernel tells the daemon who calls."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    found = output_of(["nc", "-U", daemon.socket], "whoami\nquit\n").splitlines()
    assert found[1:] == [f"200 admin {user} via unix", "221 bye"]


def test_no_traceback_was_logged_meanwhile(daemon: Daemon) -> None:
    """Whatever the tests above sent."""
    assert "Traceback" not in daemon.log
