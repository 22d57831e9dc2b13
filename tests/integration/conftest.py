"""Fixtures for tests with real sockets."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration import daemon as real
from tests.integration.scripted import Daemon, Script, Start

StartDaemon = Callable[..., real.Daemon]

# A shell that starts something in the background lets it ignore Ctrl-C, nohup lets it ignore hangups, and
# whatever that starts: then the programs that are to be ended by these here would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Tests start programs from many threads; where pages are reclaimed early, exec after vfork saw "Bad address".
subprocess._USE_VFORK = False  # type: ignore[attr-defined,misc,unused-ignore]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start daemons that follow a script."""
    started: list[Daemon] = []

    def start(script: Script, **options: str) -> Daemon:
        started.append(Daemon(tmp_path / f"{len(started)}.sock", script, **options))
        return started[-1]

    yield start
    for daemon in started:
        daemon.close()


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[StartDaemon]:
    """Start real daemons: ``start_daemon(*options, ini=...)``; they are ended whatever happens."""
    started: list[real.Daemon] = []

    def start(*options: str, ini: str = "", home: Path | None = None) -> real.Daemon:
        started.append(real.Daemon(home or tmp_path / f"daemon{len(started)}", *options, ini=ini))
        return started[-1].start()

    yield start
    for daemon in started:
        daemon.end()
