"""What a caller brings along to a job: nice value, limits, umask, locale, arguments; plain scripts."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from libgomd import blocking
from libgomd.errors import NotPossible
from libgomd.wire import frames
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import GOM, NOBODY, Pair, gom

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="to be several users one has to be root")
PROBE = (
    "import json, os, resource as r; print(json.dumps([os.getpriority(0, 0), os.umask(0), "
    "r.getrlimit(r.RLIMIT_NOFILE), r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_MEMLOCK), "
    "[os.environ.get(n) for n in ('LANG', 'LC_ALL', 'TZ')]]))"
)


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Daemon, Daemon]]:
    """Two nodes whose sockets everybody reaches."""
    place = Path(tempfile.mkdtemp(prefix="gomd-along-", dir="/tmp"))
    try:
        place.chmod(0o711)
        with Pair(place) as nodes:
            for daemon in nodes:
                for each in (daemon.home, daemon.state):
                    each.chmod(0o711)
                daemon.socket.chmod(0o666)
            yield nodes
    finally:
        shutil.rmtree(place)


def told(
    daemon: Daemon, node: int, before: str, program: Sequence[str] = NOBODY, env: dict[str, str] | None = None
) -> Any:
    """Return what a job tells that was started behind the commands ``before`` of a shell."""
    done = subprocess.run(
        ["sh", "-c", f'{before}exec "$@"', "sh", *program, "-c", daemon.unix, "run", "-n", str(node),
         "python3", "-c", PROBE],
        cwd="/", capture_output=True, timeout=PATIENCE * 2, check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("node", [1, 2])
def test_the_callers_values(two: tuple[Daemon, Daemon], node: int) -> None:
    """Here and on another node."""
    locale = {"LANG": "C.UTF-8", "LC_ALL": "POSIX", "TZ": "Asia/Kathmandu"}
    before = "umask 037; ulimit -c 0; ulimit -Sn 300; renice -n 4 $$ > /dev/null; "
    nice, umask, files, core, _memory, found = told(two[0], node, before, env=locale)
    assert nice == 4
    assert (umask, files[0], core) == (0o37, 300, [0, 0])
    assert found == [locale["LANG"], locale["LC_ALL"], locale["TZ"]]
    assert told(two[0], node, "ulimit -n 250; ")[2] == [250, 250]


@pytest.mark.parametrize("node", [1, 2])
def test_no_user_gets_more_than_the_node_gives(two: tuple[Daemon, Daemon], node: int) -> None:
    """Whatever they say on the socket: nice below 0 is 0, a hard limit is that of process 1 at most."""
    most = {
        name: resource.prlimit(1, getattr(resource, f"RLIMIT_{name}"))[1] for name in ("NOFILE", "MEMLOCK")
    }
    forged = {
        "nice": -20,
        "limits": {"NOFILE": [-1, -1], "MEMLOCK": [-1, -1], "CORE": [5, 4], "NONE": [1, 1]},
    }
    nice, _umask, files, core, memory, _locale = forge(two[0], node, forged)
    assert nice == 0
    assert 0 < files[1] <= 524288
    assert files[0] == files[1] <= (most["NOFILE"] if most["NOFILE"] > 0 else 1 << 30)
    assert memory[1] == most["MEMLOCK"] or most["MEMLOCK"] == -1 or 0 <= memory[1] <= most["MEMLOCK"]
    assert core == [4, 4]


def forge(daemon: Daemon, node: int, more: dict[str, Any]) -> Any:
    """Return what a job of nobody's tells that was asked for by a program of its own, not by gom."""
    script = (
        "import os, socket, sys; os.setgroups([65534]); os.setresgid(65534, 65534, 65534); "
        "os.setresuid(65534, 65534, 65534); s = socket.socket(socket.AF_UNIX); "
        "s.connect(sys.argv[1]); s.sendall(b'run\\n'); d = b''\n"
        "while b'202' not in d or not d.endswith(b'\\n'): d += s.recv(1)\n"
        "s.sendall(bytes.fromhex(sys.argv[2]))\n"
        "while p := s.recv(65536): sys.stdout.write(p.hex()); sys.stdout.flush()\n"
    )
    spec = {
        "argv": ["python3", "-c", PROBE], "env": {"PATH": os.environ["PATH"]}, "cwd": "/", "umask": 0,
        "node": str(node), **more,
    }  # fmt: skip
    sent = frames.encode_json(frames.SPEC, spec) + frames.encode_json(frames.ATTACH, {})
    caller = subprocess.Popen(
        ["python3", "-c", script, str(daemon.socket), sent.hex()], stdout=subprocess.PIPE, cwd="/", text=True
    )
    assert caller.stdout is not None
    parser, text = frames.FrameParser(), ""
    try:
        while True:
            text += caller.stdout.read(2)
            data, text = bytes.fromhex(text), ""
            assert data, "the connection ended"
            for frame in parser.feed(data):
                assert frame.kind != frames.FAILED, frame.payload
                if frame.kind == frames.STDOUT:
                    return json.loads(frame.payload)
    finally:
        caller.kill()
        caller.wait()
        caller.stdout.close()


def test_root_may_go_below_zero(two: tuple[Daemon, Daemon]) -> None:
    """As without gomd."""
    assert told(two[0], 2, "renice -n -20 $$ > /dev/null; ", program=GOM)[0] < 0


@pytest.mark.parametrize("node", [1, 2])
def test_a_megabyte_of_arguments(two: tuple[Daemon, Daemon], node: int) -> None:
    """As many as the kernel takes; what it does not take is said in a sentence, 126."""
    many = ["é" * 40] * 20000
    with blocking.connect(two[0].unix) as client:
        job = client.run(
            ["sh", "-c", 'echo $# "$1"', "sh", *many], node=node, env={"PATH": os.environ["PATH"]}
        )
        assert job.communicate() == (f"20000 {many[0]}\n".encode(), b"")
        for words, sentence in (
            (["x" * 131072], r"one argument or variable has 131072 bytes, and the kernel takes 131071"),
            (
                ["x" * 100000] * 30,
                r"arguments and environment have 30\d+ bytes, and the kernel takes 2097152",
            ),
        ):
            with pytest.raises(NotPossible, match=rf"Argument list too long: {sentence}") as refused:
                client.run(["echo", *words], node=node, env={}, limits={"STACK": (8 << 20, -1)})
            assert refused.value.code == 126


def test_a_caller_who_sends_too_long_a_description(two: tuple[Daemon, Daemon]) -> None:
    """The connection is closed; the daemon keeps nothing of it."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(PATIENCE)
        caller.connect(str(two[0].socket))
        assert b"220" in caller.recv(9000)
        caller.sendall(b"run\n")
        assert b"202" in caller.recv(9000)
        caller.sendall(bytes((frames.SPEC,)) + (1 << 25).to_bytes(4, "big"))
        assert caller.recv(9000) == b""


def test_a_script_without_its_interpreter(two: tuple[Daemon, Daemon], tmp_path: Path) -> None:
    """The shell runs it, as at a prompt; what is no text is refused."""
    script = tmp_path / "plain"
    script.write_text('echo "$0" "$@"; exit 3\n')
    script.chmod(0o755)
    done = gom(two[0], "run", str(script), "a b", "c", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (done.returncode, done.stdout) == (3, f"{script} a b c\n".encode())
    done = gom(two[0], "run", "plain", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (done.returncode, done.stdout) == (3, f"{script}\n".encode())
    (tmp_path / "dashed").mkdir()
    script.rename(tmp_path / "-plain")
    done = gom(two[0], "run", "-n", "1", "--", "./-plain", cwd=tmp_path)
    assert done.returncode == 3
    binary = tmp_path / "binary"
    binary.write_bytes(b"\x01\x02\x00\x03" * 50)
    binary.chmod(0o755)
    done = gom(two[0], "run", str(binary))
    assert (done.returncode, done.stdout) == (126, b"")
    assert b"Exec format error: it is no script, nor a program for this machine" in done.stderr
    empty = tmp_path / "empty"
    empty.touch(mode=0o755)
    assert gom(two[0], "run", str(empty)).returncode == 0


def test_memory_that_a_named_node_has_not(two: tuple[Daemon, Daemon]) -> None:
    """`-n NODE --mem SIZE` is refused with the numbers, not ignored; what it has, it gives."""
    done = gom(two[0], "run", "-n", "2", "--mem", "900T", "true")
    assert done.returncode == 1
    assert b"node2 (2) has " in done.stderr
    assert b"MB of memory free, not 943718400 MB" in done.stderr
    assert gom(two[0], "run", "-n", "2", "--mem", "1M", "true").returncode == 0


def test_without_limits_of_the_caller(two: tuple[Daemon, Daemon]) -> None:
    """A program may ask for those that the node gives, and for a nice value."""
    with blocking.connect(two[0].unix) as client:
        job = client.run(["python3", "-c", PROBE], limits={}, nice=11, umask=0o77)
        nice, umask, files, *_ = json.loads(job.communicate()[0])
        assert (nice, umask, files[0]) == (11, 0o77, 1024)
