"""SIGHUP with files that cannot be used or never answer: all is taken over or nothing, and gomd answers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from libgomd.keys import new_key_file
from tests.integration.daemon import QUIET, Daemon

SAID = "the configuration stays as it was"


def anonymous_code(daemon: Daemon) -> int:
    """What somebody without a token gets."""
    with daemon.connect() as line:
        return line.ask("load").code


def test_with_a_broken_key_file_nothing_is_taken_over(tmp_path: Path) -> None:
    """Neither the key nor what was changed beside it: what the log says is so."""
    key = tmp_path / "cluster.key"
    new_key_file(str(key))
    with Daemon(tmp_path / "daemon", ini=f"key_file = {key}\n") as daemon:
        key.write_text("no key\n")
        daemon.configure(f"key_file = {key}\n[telnet]\nanonymous = none\n")
        daemon.signal(signal.SIGHUP)
        daemon.wait_for(SAID)
        assert anonymous_code(daemon) == 200
        key.unlink()
        new_key_file(str(key))
        daemon.signal(signal.SIGHUP)
        daemon.wait_for("configuration read again, changed: .*anonymous")
        assert anonymous_code(daemon) == 401


def test_a_file_that_never_answers_holds_up_nothing(tmp_path: Path) -> None:
    """gomd.ini is on a disk that hangs (here: a pipe nobody writes to): callers are answered meanwhile."""
    with Daemon(tmp_path / "daemon") as daemon:
        ini = daemon.home / "gomd.ini"
        ini.unlink()
        os.mkfifo(ini)
        daemon.signal(signal.SIGHUP)
        for _ in range(10):
            with daemon.connect_unix() as line:
                assert line.ask("load").code == 200
            time.sleep(0.05)
        daemon.signal(signal.SIGHUP)  # asked for again while the first one hangs
        with open(ini, "w") as pipe:
            pipe.write(QUIET + "[telnet]\nanonymous = none\n")
            ini.unlink()
            daemon.configure("[telnet]\nanonymous = none\n")
        daemon.wait_for("configuration read again, changed: .*anonymous")
        assert anonymous_code(daemon) == 401
        assert daemon.stop() in (0, -signal.SIGTERM)


def test_it_ends_while_a_file_hangs(tmp_path: Path) -> None:
    """TERM is obeyed at once."""
    with Daemon(tmp_path / "daemon") as daemon:
        ini = daemon.home / "gomd.ini"
        ini.unlink()
        os.mkfifo(ini)
        daemon.signal(signal.SIGHUP)
        with daemon.connect_unix() as line:
            assert line.ask("load").code == 200
        began = time.monotonic()
        assert daemon.stop() in (0, -signal.SIGTERM)
        assert time.monotonic() - began < 8
