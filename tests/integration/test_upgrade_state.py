"""An upgrade: STATE as an older gomd left it, and as a newer one did."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from gomd.services.state_format import FORMAT
from libgomd.version import VERSION
from tests.integration.daemon import Daemon, run
from tests.integration.jobs import gom

STATES = Path(__file__).parents[1] / "data" / "state"
#: The token of carol in these STATEs.
TOKEN = "mw25wgX2FyOLD5XB7NHlVmeLlspBxEoZevhDRYRXOes"


def restored(name: str, home: Path) -> Path:
    """Copy a STATE, with the modes that gomd gave it, which git does not keep."""
    home.mkdir(exist_ok=True)
    state = home / "state"
    shutil.copytree(STATES / name, state)
    for place, _names, files in os.walk(state):
        os.chmod(place, 0o700)
        for file in files:
            os.chmod(Path(place, file), 0o600)
    return state


@pytest.mark.skipif(os.geteuid() != 0, reason="the jobs in it are root's")
@pytest.mark.parametrize("name", sorted(path.name for path in STATES.iterdir()))
def test_what_an_older_version_knew_is_still_known(tmp_path: Path, name: str) -> None:
    """Jobs with exit status and output, tokens, the speed; a job of an earlier boot is lost, but known."""
    restored(name, tmp_path / "alpha")
    daemon = Daemon(tmp_path / "alpha", "--node-id", "1", "--name", "alpha").start()
    try:
        rows = [json.loads(line) for line in gom(daemon, "--json", "jobs").stdout.splitlines()]
        found = {row["job"]: (row["state"], row["exit"]) for row in rows}
        assert (found[1], found[2]) == (("done", 7), ("done", 0))
        assert found[3][0] == "lost"
        done = gom(daemon, "attach", "1")
        assert (done.returncode, done.stdout, done.stderr) == (7, b"out\nerr\n", b"")
        assert gom(daemon, "speed").stdout.strip() == b"12345"
        with daemon.connect() as line:
            assert line.ask(f"auth {TOKEN}").code == 200
        assert gom(daemon, "run", "--detach", "true").stdout.strip() == b"4"
    finally:
        daemon.stop()
    assert (tmp_path / "alpha/state/format").read_text() == f"{FORMAT} {VERSION}\n"
    again = Daemon(tmp_path / "alpha", "--node-id", "1", "--name", "alpha").start()
    again.stop()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"99 12.0.0\n", "was used by gomd 12.0.0, which is newer"),
        (b"\xff", "is damaged"),
        (b"", "is damaged"),
    ],
)
def test_a_downgrade_is_refused_in_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    """By a start and by --check, and STATE stays as it was."""
    daemon = Daemon(tmp_path / "alpha").start()
    daemon.stop()
    format_file = tmp_path / "alpha/state/format"
    format_file.write_bytes(content)
    for more in ((), ("--check",)):
        done = run(tmp_path / "alpha", "--state-dir", str(daemon.state), *more)
        assert done.returncode == 1
        assert said in done.stdout + done.stderr
        assert len((done.stdout + done.stderr).splitlines()) == 1
    assert format_file.read_bytes() == content
