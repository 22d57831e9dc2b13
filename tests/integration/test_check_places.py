"""A STATE, a spool or a socket that a start refuses is refused by `--check`, which changes nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.daemon import run

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def _link(home: Path) -> None:
    (home / "state").mkdir(0o700)
    (home / "state" / "samples").symlink_to(home)


def _lock(home: Path) -> None:
    (home / "state" / "lock").mkdir(parents=True)
    (home / "state").chmod(0o700)


def _open(home: Path) -> None:
    (home / "state").mkdir()
    (home / "state").chmod(0o777)


def _foreign(home: Path) -> None:
    (home / "state").mkdir(0o700)
    os.chown(home / "state", NOBODY, NOBODY)


def _foreign_file(home: Path) -> None:
    (home / "state").mkdir(0o700)
    (home / "state" / "admin.json").write_text("{}")
    os.chown(home / "state" / "admin.json", NOBODY, NOBODY)


def _foreign_way(home: Path) -> None:
    (home / "way").mkdir()
    os.chown(home / "way", NOBODY, NOBODY)


def _spool(home: Path) -> None:
    (home / "spool").mkdir(0o700)
    os.chown(home / "spool", NOBODY, NOBODY)


def _sockets(home: Path) -> None:
    (home / "sockets").mkdir()
    (home / "sockets").chmod(0o777)


CASES = [
    (_link, "node.state_dir=state", "symbolic link"),
    (_lock, "node.state_dir=state", "lock in it is no plain file"),
    (_open, "node.state_dir=state", "can be written by others"),
    pytest.param(_foreign, "node.state_dir=state", "belongs to another user", marks=as_root),
    pytest.param(_foreign_file, "node.state_dir=state", "belongs to another user", marks=as_root),
    pytest.param(_foreign_way, "node.state_dir=way/state", "belongs to another user", marks=as_root),
    pytest.param(_foreign_way, "telnet.endpoints=unix:way/socket", "belongs to user", marks=as_root),
    pytest.param(_spool, "jobs.spool=spool", "belongs to user", marks=as_root),
    (_sockets, "telnet.endpoints=unix:sockets/socket", "everybody may write"),
]


def _seen(home: Path) -> list[tuple[str, int, int]]:
    """All that is below a directory: names, modes and owners."""
    found = [(each, each.lstat()) for each in sorted(home.rglob("*")) if each.name != "gomd.ini"]
    return [(str(each), stat.S_IMODE(there.st_mode), there.st_uid) for each, there in found]


@pytest.mark.parametrize(("prepare", "setting", "word"), CASES)
def test_what_a_start_refuses_check_refuses(
    tmp_path: Path, prepare: Callable[[Path], None], setting: str, word: str
) -> None:
    """Both with the same words, in one sentence."""
    prepare(tmp_path)
    chosen = {"node.state_dir": "own", "telnet.endpoints": "unix:"} | dict([setting.split("=", 1)])
    words = [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
    before = _seen(tmp_path)
    for more in (["--check"], []):
        outcome = run(tmp_path, *words, *more)
        assert outcome.returncode == 1, outcome.stdout
        assert word in outcome.stderr
        assert "Traceback" not in outcome.stderr + outcome.stdout
        if more:
            assert _seen(tmp_path) == before
