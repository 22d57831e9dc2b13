"""A job that is stopped at a prompt, moves, and goes on where it is now."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cluster.asking import ask
from tests.integration.hosts import Host
from tests.integration.jobs import until
from tests.integration.migration.moving import rows
from tests.integration.prompt import Prompt


def test_a_job_moves_between_ctrl_z_and_fg(three: list[Host], tmp_path: Path) -> None:
    """It stays stopped on the other node until `fg`; what is typed then reaches it there."""
    home = three[0]
    with Prompt(f"unix:{home.home / 'gomd.sock'}", tmp_path) as prompt:
        prompt.type("gom run -T -n 1 sh -c 'echo up; for i in 1 2; do read x; echo heard $x; done'\n")
        prompt.wait("up\n")
        [row] = [row for row in rows(home) if row["state"] == "running"]
        prompt.type("one\n")
        prompt.wait("heard one\n")
        prompt.type("\x1a")
        prompt.wait("Stopped")
        assert ask(home, f"migrate {row['pid']} 2").code == 200
        [row] = [row for row in rows(home) if row["state"] == "running"]
        assert row["node"] == 2
        prompt.type("fg\n")
        prompt.wait("gom run")
        prompt.type("two\n")
        prompt.wait("heard two\n")
        until(lambda: all(row["state"] != "running" for row in rows(home)))
        assert prompt.run("echo status $?").endswith("status 0\n")
