"""The fork server: what it loads beforehand."""

from __future__ import annotations

import ssl
import sys

import pytest

from gomd.jobs.checkpoint import move_tls
from gomd.jobs.supervisor import forkserver


def test_jobs_run_where_there_is_no_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is loaded for moves alone: a system's OpenSSL that cannot be used ends no fork server."""

    def fail() -> None:
        raise ssl.SSLError("unknown command")

    monkeypatch.setattr(move_tls, "warm_up", fail)
    forkserver._load_for_moves()
    monkeypatch.delitem(sys.modules, "gomd.jobs.checkpoint.move_tls")
    monkeypatch.delattr("gomd.jobs.checkpoint.move_tls")
    monkeypatch.setitem(sys.modules, "ssl", None)
    forkserver._load_for_moves()
