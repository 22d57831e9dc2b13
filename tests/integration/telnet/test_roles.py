"""Who may do what on the telnet line: strangers, tokens, users of the unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon, output_of
from tests.integration.line import Line
from tests.integration.telnet.conftest import COMMANDS

GOM = (sys.executable, "-c", "import sys; from gom.command import run; sys.exit(run())")


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where ``program`` is not installed."""
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


def test_over_tcp_a_stranger_only_reads(line: Line, sleeper: subprocess.Popen[bytes]) -> None:
    """403, and nothing happens."""
    for request in (f"signal {sleeper.pid} KILL", f"renice {sleeper.pid} 5", "stay", "do greet", "shutdown",
                    "put /proc/hpc/admin/stay 1"):  # fmt: skip
        assert line.ask(request).code == 403, request
    assert sleeper.poll() is None
    assert line.ask("get /proc/1/io").code == 403
    assert line.ask("status").text == "3 up"


def test_a_token_raises_the_role(start_daemon: StartDaemon) -> None:
    """`gom token add` makes it for the running daemon; its role and no more; removed it is worth nothing."""
    daemon = start_daemon(ini="[telnet]\nanonymous = none\n" + COMMANDS)
    file = daemon.state / "tokens"
    user = (
        pwd.getpwuid(os.getuid()).pw_name if os.getuid() else "nobody"
    )  # a user's token is no system user's
    tokens = {
        role: output_of([*GOM, "token", "add", name, role, "--file", file]).strip()
        for name, role in (("reader", "read"), (user, "user"), ("boss", "admin"))
    }
    assert all(token not in file.read_text() for token in tokens.values())
    for role, can, cannot in (
        ("read", "load", "do greet"),
        ("user", "load", "stay"),
        ("admin", "do greet", ""),
    ):
        with daemon.connect() as line:
            assert line.ask("load").code == 401
            assert line.ask("whoami").text.startswith("none ")
            assert line.ask("auth wrong").code == 403
            assert line.ask(f"auth {tokens[role]}").text.startswith(f"{role} ")
            assert line.ask(can).code in (200, 201)
            assert not cannot or line.ask(cannot).code == 403
    output_of([*GOM, "token", "remove", "boss", "--file", file])
    with daemon.connect() as line:
        assert line.ask(f"auth {tokens['admin']}").code == 403
    file.chmod(0o644)
    with daemon.connect() as line:
        assert line.ask(f"auth {tokens['user']}").code == 405
    assert tokens["admin"] not in daemon.log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@needs("nc")
def test_nobody_is_a_user_over_the_unix_socket(daemon: Daemon, sleeper: subprocess.Popen[bytes]) -> None:
    """The kernel says who calls; users may do to their own processes what it allows, to others' nothing."""
    with subprocess.Popen(["/bin/sleep", "600"], user="nobody") as own:
        requests = (
            f"whoami\nsignal {sleeper.pid} KILL\nstay\nget /proc/{sleeper.pid}/io\nget /proc/{own.pid}/io\n"
        )
        requests += f"renice {own.pid} 3\nrenice {own.pid} 0\nsignal {own.pid} KILL\nquit\n"
        found = output_of(["nc", "-U", daemon.socket], requests, user="nobody").splitlines()
        assert own.wait(PATIENCE) == -signal.SIGKILL
    assert found[1] == "200 user nobody via unix"
    assert [text[:3] for text in found[2:5]] == ["403"] * 3
    assert found[5].startswith("201 ")
    codes = [text[:3] for text in found[found.index(".") + 1 :]]
    assert codes == ["200", "403", "200", "221"]
    assert sleeper.poll() is None


def test_no_traceback_was_logged_meanwhile(daemon: Daemon) -> None:
    """Whatever the tests above sent."""
    assert "Traceback" not in daemon.log
