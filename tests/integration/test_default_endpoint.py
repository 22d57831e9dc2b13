"""
What `gom` and its relatives send by default when no daemon runs and a stranger listens where they look.

Each test has a host of namespaces of its own, with the real default port and directories.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import hosts
from tests.integration.cluster.asking import eventually
from tests.integration.hosts import Host, Network

#: Who calls, and who listens where the caller looks.
CALLER, STRANGER = "daemon", "nobody"
SECRET = "hunter2-hunter2"

#: Greets as a daemon does, says yes to everything, and keeps what it is told.
LISTENER = """
import os, socket, sys, threading
place, kept = sys.argv[1], open(sys.argv[2], "ab", 0)
if place.startswith("/"):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(place)
    os.chmod(place, 0o666)
else:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", int(place)))
listening.listen()
kept.write(b"listening")

def serve(connected):
    connected.sendall(b"220 gomd 0.1.0 node 7 evil\\r\\n")
    data = b""
    while more := connected.recv(65536):
        kept.write(more)
        data += more
        *lines, data = data.split(b"\\n")
        for line in lines:
            node = b'{"id": 7, "name": "evil", "address": "", "status": 3, "up": true}'
            node = b"201 1 nodes\\r\\n" + node + b"\\r\\n.\\r\\n"
            answers = {b"run": b"202 go on\\r\\n", b"load": b"200 4711\\r\\n", b"node": node}
            connected.sendall(answers.get(line.split()[0], b'200 ""\\r\\n'))

while True:
    threading.Thread(target=serve, args=listening.accept()[:1], daemon=True).start()
"""
#: The whole of a client program: what it is given as its first argument.
DEFERRED = """
import sys
from twisted.internet import defer, task
from libgomd.client import connect
async def main(reactor):
    client = await connect(reactor, token=sys.argv[1] or None)
    print(await client.load())
    await client.put("/proc/hpc/admin/stay", "hunter2-hunter2")
task.react(lambda reactor: defer.Deferred.fromCoroutine(main(reactor)))
"""
BLOCKING = """
import sys
from libgomd import blocking
with blocking.connect(token=sys.argv[1] or None) as client:
    print(client.load())
    client.put("/proc/hpc/admin/stay", "hunter2-hunter2")
"""


@pytest.fixture
def host() -> Iterator[Host]:
    """A host without a daemon, with no other host to be seen; its files are where every user gets at them."""
    if reason := hosts.missing():
        pytest.skip(reason)
    home = Path(tempfile.mkdtemp(prefix="gomd-default-"))
    try:
        with Network(home) as network:
            alone = network.add(home / "key")
            for directory in ("/run", "/var/lib"):
                alone.run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", directory)
            (home / "caller").mkdir()
            shutil.chown(home / "caller", CALLER)
            yield alone
    finally:
        shutil.rmtree(home)


class Stranger:
    """Somebody else's program at ``place``, a port or a path. :ivar kept: what it was told."""

    def __init__(self, host: Host, place: str, user: str = STRANGER) -> None:
        self._kept = host.home.parent / f"kept{len(list(host.home.parent.iterdir()))}"
        self._kept.touch()
        self._kept.chmod(0o666)
        listener = (sys.executable, "-c", LISTENER, place, str(self._kept))
        host.popen("setpriv", f"--reuid={user}", "--clear-groups", "--", *listener)
        eventually(lambda: self._kept.read_bytes())

    @property
    def kept(self) -> bytes:
        return self._kept.read_bytes().removeprefix(b"listening")


def calls(host: Host, *program: str, text: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program as the caller, with a secret in the environment and more where the test says so."""
    caller = ("setpriv", f"--reuid={CALLER}", "--clear-groups", "--")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("GOMD_", "XDG_"))}
    home = str(host.home.parent / "caller")
    return subprocess.run(
        host.command((*caller, *program), home), input=text, capture_output=True, text=True, timeout=60,
        env={**inherited, "HOME": home, "PASSWORD": SECRET, **environ}, check=False,
    )  # fmt: skip


def tool(name: str, *words: str) -> tuple[str, ...]:
    """Return how to run one of our commands."""
    main = "gom.command import run as main" if name == "gom" else f"gom.openmosix.{name} import main"
    return (sys.executable, "-c", f"import sys; from {main}; sys.exit(main())", *words)


COMMANDS = [
    (tool("gom", "run", "echo", SECRET), {}),
    (tool("gom", "run", "--detach", "echo", SECRET), {}),
    (tool("gom", "attach", "3"), {}),
    (tool("gom", "auth", SECRET), {}),
    (tool("gom", "@all", "auth", SECRET), {}),
    (tool("gom", "watch", "auth", SECRET), {}),
    (tool("gom", "-t", SECRET, "load"), {}),
    (tool("gom", "load"), {"GOMD_TOKEN": SECRET}),
    (tool("gom", "put", "/proc/hpc/admin/stay", SECRET), {}),
    (tool("gom", "run", "cat"), {"GOMD_TOKEN": SECRET}),
    (tool("mosrun", "echo", SECRET), {}),
    (tool("mosrun", "-h", "echo", SECRET), {}),
    (tool("migrate", "4711", "home"), {"GOMD_TOKEN": SECRET}),
    (tool("mosctl", "status"), {"GOMD_TOKEN": SECRET}),
    (tool("mps"), {"GOMD_TOKEN": SECRET}),
]


def test_a_stranger_at_the_default_port_is_told_nothing(host: Host) -> None:
    """Whoever has something secret to say ends with 3 and a sentence that says what to do."""
    stranger = Stranger(host, "2901")
    for command, environ in COMMANDS:
        done = calls(host, *command, text=SECRET, **environ)
        assert done.returncode == 3, (command, done)
        assert "where any program may listen: start gomd, or name the endpoint" in done.stderr, done
        assert done.stderr.count("\n") == 1, done
    assert SECRET.encode() not in stranger.kept
    assert b"run" not in stranger.kept
    assert b"auth" not in stranger.kept


def test_the_compiled_programs_tell_it_nothing_either(host: Host, compiled: Path) -> None:
    """gomrun under each of its names: it does not even connect for a job."""
    stranger = Stranger(host, "2901")
    names = host.home.parent / "names"
    names.mkdir()
    for name in ("gomrun", "mosrun", "gom"):
        (names / name).symlink_to(compiled / "bin" / "gomrun")
    for words, environ in (
        (("gomrun", "echo", SECRET), {}), (("gomrun", "--token", SECRET, "true"), {}),
        (("gomrun", "--attach", "3"), {"GOMD_TOKEN": SECRET}), (("gom", "-t", SECRET, "run", "cat"), {}),
        (("mosrun", "echo", SECRET), {}), (("mosrun", "-h", "echo", SECRET), {}),
        (("mosrun", "-3", "true"), {"GOMD_TOKEN": SECRET}),
    ):  # fmt: skip
        done = calls(host, str(names / words[0]), *words[1:], text=SECRET, **environ)
        assert done.returncode == 3, (words, done)
        assert "any program may listen: " in done.stderr, done
        assert done.stderr.count("\n") == 1, done
    assert SECRET.encode() not in stranger.kept
    assert b"run" not in stranger.kept
    assert b"auth" not in stranger.kept


def test_a_question_is_still_asked_there(host: Host) -> None:
    """Without a token; an endpoint that the user named gets everything."""
    stranger = Stranger(host, "2901")
    assert calls(host, *tool("gom", "load")).stdout == "4711\n"
    assert stranger.kept == b"load\r\n"
    calls(host, *tool("gom", "load"), GOMD_TOKEN=SECRET, GOMD_ENDPOINT="tcp:127.0.0.1:2901")
    assert f"auth {SECRET}\r\n".encode() in stranger.kept


@pytest.mark.parametrize("program", [BLOCKING, DEFERRED], ids=["blocking", "deferred"])
@pytest.mark.parametrize("token", ["", SECRET], ids=["anonymous", "token"])
def test_programs_send_nothing_secret_either(host: Host, program: str, token: str) -> None:
    """Both clients: a token is refused at once, all but questions when it is asked."""
    stranger = Stranger(host, "2901")
    done = calls(host, sys.executable, "-c", program, token)
    assert done.returncode == 1
    assert "UnprovenEndpoint" in done.stderr, done
    assert done.stdout == ("" if token else "4711\n")
    assert SECRET.encode() not in stranger.kept


def test_a_strangers_socket_in_ones_state_is_passed_over(host: Host) -> None:
    """Also with a directory that is one's own: the kernel says who listens. Nothing at all is sent there."""
    state = host.home.parent / "elsewhere"
    (state / "gomd").mkdir(parents=True)
    for owner in (STRANGER, CALLER):
        (state / "gomd").chmod(0o777)
        shutil.chown(state / "gomd", owner)
        (state / "gomd" / "gomd.sock").unlink(missing_ok=True)
        stranger = Stranger(host, str(state / "gomd" / "gomd.sock"))
        for command, environ in COMMANDS:
            done = calls(host, *command, text=SECRET, XDG_STATE_HOME=str(state), **environ)
            assert done.returncode == 3, (command, done)
            assert "neither root's nor yours" in done.stderr
        for program in (BLOCKING, DEFERRED):
            done = calls(host, sys.executable, "-c", program, SECRET, XDG_STATE_HOME=str(state))
            assert "neither root's nor yours" in done.stderr, done
        assert stranger.kept == b""


def test_the_daemons_that_prove_themselves_get_everything(host: Host) -> None:
    """One's own at its socket, root's at the socket for every user; beside a stranger at the port."""
    stranger = Stranger(host, "2901")
    home = host.home.parent / "caller"
    quiet = "[telnet]\nendpoints = unix:\n[peers]\nport = 0\ndiscovery = no\n[history]\nkind = none\n"
    (home / "gomd.ini").write_text(quiet)
    as_caller = ("setpriv", f"--reuid={CALLER}", "--clear-groups", "--")
    twistd = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
    arguments = (sys.executable, "-c", twistd, "-n", "--pidfile=", "gomd")
    environ = {**os.environ, "HOME": str(home), "XDG_STATE_HOME": ""}
    own = subprocess.Popen(
        host.command((*as_caller, *arguments), home), env=environ, stdout=subprocess.DEVNULL
    )
    eventually((home / ".local/state/gomd/gomd.sock").exists)
    assert calls(host, *tool("gom", "whoami")).stdout.startswith(f"admin {CALLER} via unix")
    os.kill(hosts.child_of(own.pid), signal.SIGTERM)
    own.wait()
    named = (*arguments, "--config", str(home / "gomd.ini"))  # root takes no settings of others unasked
    roots = subprocess.Popen(host.command(named, home), stdout=subprocess.DEVNULL)
    public = Path(f"/proc/{host.init}/root/run/gomd/gomd.sock")
    eventually(public.exists)
    assert calls(host, *tool("gom", "whoami")).stdout.startswith(f"user {CALLER} via unix")
    done = calls(host, *tool("gom", "run", "printenv", "PASSWORD"))
    assert done.stdout == f"{SECRET}\n", done
    assert calls(host, *tool("mosrun", "-h", "echo", "there")).stdout == "there\n"
    os.kill(hosts.child_of(roots.pid), signal.SIGTERM)
    roots.wait()
    assert stranger.kept == b""
