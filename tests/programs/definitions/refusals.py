"""Programs that have something that cannot leave the machine: they stay, and go on."""

from __future__ import annotations

import glob
from typing import Final

from tests.programs.definition import ROOT, Program, Refused
from tests.programs.steps import Beside, Companion, EndInput, Move, Seen, Signal, Type

#: Debian has its programs in a directory for each version.
_POSTGRES = max(glob.glob("/usr/lib/postgresql/*/bin"), default="/usr/lib/postgresql/15/bin")
_PORT = "2222"
_SSHD: Final = (
    "sh",
    "-c",
    (
        "mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e -f /dev/null -h $PWD/host_key -o Port=2222 -o ListenAddress=127.0.0.1"
        " -o StrictModes=no -o UsePAM=no -o PidFile=none -o AuthorizedKeysFile=$PWD/user_key.pub"
    ),
)
_QUEUE = """
import ctypes, os, time
library = ctypes.CDLL(None, use_errno=True)
queue = library.mq_open(b"/gomd-queue", os.O_CREAT | os.O_RDWR, 0o600, None)
assert queue >= 0
print("ready", flush=True)
input()
library.mq_unlink(b"/gomd-queue")
print("done")
"""
_LOCK = """
import fcntl
file = open("locked", "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("ready", flush=True)
input()
print("done")
"""
_PYTHON = "/usr/bin/python3"

PROGRAMS: Final = (
    Program(
        "postgres",
        "listens on a socket with a name",
        (f"{_POSTGRES}/postgres", "-D", "data", "-k", "/home/nobody/postgres", "-h", ""),
        {"pg_ctlcluster": "postgresql"},
        before=(Beside((f"{_POSTGRES}/initdb", "-D", "data", "-A", "trust", "-N")),),
        steps=(
            Seen(b""),
            Companion(
                (
                    "sh",
                    "-c",
                    "until psql -h /home/nobody/postgres -c 'select 1' postgres; do sleep 0.2; done",
                ),
                b"1 row",
            ),
            Move(),
            Beside(
                (
                    "psql",
                    "-h",
                    "/home/nobody/postgres",
                    "-tc",
                    "select sum(n) from generate_series(1, 100000) n",
                    "postgres",
                )
            ),
            Signal("INT"),
        ),
        expect=Refused("socket"),
        mask=(rb"[^\n]*\n",),
        ignore=("data/*", ".s.PGSQL*"),
    ),
    Program(
        "ssh",
        "a client with a session to another machine",
        (
            "ssh",
            "-T",
            "-F",
            "none",
            "-i",
            "user_key",
            "-p",
            _PORT,
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=known",
            "127.0.0.1",
            "echo ready; cat; echo done",
        ),
        {"ssh": "openssh-client", "sshd": "openssh-server"},
        user=ROOT,
        before=(
            Beside(
                (
                    "sh",
                    "-c",
                    "ssh-keygen -q -N '' -t ed25519 -f host_key && ssh-keygen -q -N '' -t ed25519 -f user_key",
                )
            ),
            Companion(_SSHD, b""),
            Beside(("sleep", "1")),
        ),
        steps=(Seen(b"ready"), Move(), Type(b"still here\n"), EndInput()),
        expect=Refused(r"TCP connection to 127\.0\.0\.1:2222"),
        ignore=("*_key*", "known*"),
    ),
    Program(
        "tmux",
        "a server with a socket that has a name",
        ("tmux", "-f", "/dev/null", "-S", "socket", "new", "sh"),
        {"tmux": "tmux"},
        terminal=True,
        steps=(Seen(b"\\$"), Move(), Type(b"echo $((6 * 7))\n"), Seen(b"42"), Type(b"exit\n")),
        expect=Refused("socket"),
        compare_output=False,
    ),
    Program(
        "strace",
        "a program that it traces",
        (
            "strace",
            "-qq",
            "-o",
            "trace",
            "-e",
            "trace=exit_group",
            "sh",
            "-c",
            "echo ready; read line; echo $line",
        ),
        {"strace": "strace"},
        steps=(Seen(b"ready"), Move(), Type(b"go on\n")),
        expect=Refused("debugger|trace"),
        ignore=("trace",),
    ),
    Program(
        "unshare",
        "user and mount namespaces of its own, as containers have",
        ("unshare", "-rm", "sh", "-c", "echo ready; read line; echo $line"),
        {"unshare": "util-linux"},
        steps=(Seen(b"ready"), Move(), Type(b"go on\n")),
        expect=Refused("namespace"),
    ),
    Program(
        "flock",
        "a lock on a file",
        ("flock", "locked", "sh", "-c", "echo ready; read line; echo $line"),
        {"flock": "util-linux"},
        steps=(Seen(b"ready"), Move(), Type(b"go on\n")),
        expect=Refused("holds a lock on"),
    ),
    Program(
        "python lockf",
        "a POSIX lock on a file",
        (_PYTHON, "-c", _LOCK),
        {_PYTHON: "python3"},
        steps=(Seen(b"ready"), Move(), Type(b"go on\n")),
        expect=Refused("holds a lock on"),
    ),
    Program(
        "python mqueue",
        "a POSIX message queue",
        (_PYTHON, "-c", _QUEUE),
        {_PYTHON: "python3"},
        steps=(Seen(b"ready"), Move(), Type(b"go on\n")),
        expect=Refused("message queue"),
        light=True,
    ),
    Program(
        "mkfifo",
        "a named pipe between two programs of the job",
        (
            "sh",
            "-c",
            "mkfifo fifo; cat fifo & exec 3>fifo; echo ready; read line; echo $line >&3; exec 3>&-; wait; rm fifo",
        ),
        {"mkfifo": "coreutils"},
        steps=(Seen(b"ready"), Move(), Type(b"go on\n")),
        expect=Refused("named pipe"),
    ),
)
