"""Fixtures for tests with real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.scripted import Daemon, Script, Start


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
