"""The Tab key in bash, zsh and fish, on a terminal, with a daemon that knows nodes, jobs and processes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gom.completion import SCRIPTS
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import GOM, gom

#: How each shell is started, and how it gets the completion: as the packages install it, or as --help says.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], ["source {home}/gom.bash"]),
    # what the package bash-completion does, too: `@` does not divide words
    "bash without hosts": (
        ["bash", "--norc", "--noprofile", "-i"],
        ["shopt -u hostcomplete", "source {home}/gom.bash"],
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        ["fpath=({home}/zsh $fpath)", "autoload -Uz compinit && compinit -u -d {home}/dump"],
    ),
    "fish": (["fish", "--no-config", "-i"], ["source {home}/gom.fish"]),
}


@pytest.fixture(scope="module")
def alpha(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A node called alpha-7 with one job, which is number 1."""
    with Daemon(tmp_path_factory.mktemp("gomd"), "--node-id", "7", "--name", "alpha-7") as daemon:
        assert gom(daemon, "run", "--detach", "sleep", "600").stdout == b"1\n"
        yield daemon
        gom(daemon, "kill", "-KILL", "1")


class Typist:
    """
    Somebody at a shell's prompt. A context manager that hangs up.

    What they type after `gom` is printed as ``<WORD><WORD>``, but for what the shell asks to complete it.
    """

    def __init__(self, shell: str, daemon: Daemon, home: Path) -> None:
        command, setup = SHELLS[shell]
        if shutil.which(command[0]) is None:
            pytest.skip(f"there is no {command[0]}: sh contrib/system-packages")
        (home / "zsh").mkdir()
        for name, path in {"bash": "gom.bash", "zsh": "zsh/_gom", "fish": "gom.fish"}.items():
            (home / path).write_text(SCRIPTS[name])
        # A machine that is busy with other tests answers late, and Tab waits for a second only.
        patient = f"import gom.candidates; gom.candidates.LIVE_TIMEOUT = {PATIENCE}"
        (home / "python").write_text(f"#!{GOM[0]}\n{patient}\n{GOM[2]}\n")
        (home / "gom").write_text(
            f'#!/bin/sh\ncase $1 in completion) exec {home}/python "$@" ;; esac\nprintf "<%s>" "$@"; echo\n'
        )
        for program in ("python", "gom"):
            (home / program).chmod(0o755)
        (home / "file-of-mine").touch()
        env = {
            "PATH": f"{home}:/usr/bin:/bin", "TERM": "xterm", "HOME": str(home), "PS1": "> ",
            "LANG": "C.UTF-8", "GOMD_ENDPOINT": daemon.unix, "PYTHONPATH": os.getcwd(),
            "INPUTRC": "/dev/null",
        }  # fmt: skip
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(home)
            os.execvpe(command[0], command, env)
        #: The keys that list what is possible: the second one would choose from the list in the other shells.
        self.lists = "\t\t" if command[0] == "bash" else "\t"
        self._seen = ""
        for line in (each.format(home=home) for each in setup):
            self.type(f"{line}\r")
        self.type("gom is ready\r")
        self.wait("<is><ready>")

    def __enter__(self) -> Typist:
        return self

    def __exit__(self, *_error: object) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.close(self._terminal)
        os.waitpid(self.pid, 0)

    def type(self, keys: str) -> None:
        """Type these keys."""
        os.write(self._terminal, keys.encode())

    def wait(self, pattern: str) -> str:
        """Return what the terminal has shown up to a regular expression, which comes in time."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self._seen)):
            left = end - time.monotonic()
            assert left > 0, f"no {pattern!r} in {self._seen!r}"
            if select.select([self._terminal], [], [], left)[0]:
                with contextlib.suppress(BlockingIOError):
                    self._seen += os.read(self._terminal, 65536).decode("utf-8", "replace")
        shown, self._seen = self._seen[: found.end()], self._seen[found.end() :]
        return shown


@pytest.fixture(params=list(SHELLS))
def typist(request: pytest.FixtureRequest, alpha: Daemon, tmp_path: Path) -> Iterator[Typist]:
    with Typist(request.param, alpha, tmp_path) as typist:
        yield typist


def test_one_possibility_is_typed(typist: Typist) -> None:
    """Verbs, options, nodes, jobs, values, paths of the tree and files: the line that then runs has them."""
    for typed, words in {
        "gom migr\tx": "<migrate><x>",
        "gom node al\t": "<node><alpha-7>",
        "gom @alp\tloa\t": "<@alpha-7><load>",
        "gom attach \t": "<attach><1>",
        "gom signal 1 KI\t": "<signal><1><KILL>",
        "gom run --det\ttrue": "<run><--detach><true>",
        "gom ps --sort=c\t": "<ps><--sort=cpu>",
        "gom ps --sort c\t": "<ps><--sort><cpu>",
        "gom get /proc/hp\tno\t7/loa\t": "<get></proc/hpc/nodes/7/load>",
        "gom key new file-\t": "<key><new><(?:./)?file-of-mine>",
        "gom token rem\t": "<token><remove>",
    }.items():
        typist.type(f"{typed}\r")
        typist.wait(words)


@pytest.mark.parametrize("typist", ["bash", "bash without hosts", "zsh"], indirect=True)
def test_several_possibilities_are_listed(typist: Typist, alpha: Daemon) -> None:
    """PIDs, with the job's among them, and where it can go. What fish draws is no list of lines."""
    with alpha.connect_unix() as line:
        line.ask("format json")
        rows = [json.loads(text) for text in line.ask("jobs").block or ()]
    pid = str(rows[0]["pid"])
    typist.type(f"gom migrate {pid[:-1]}{typist.lists}")
    typist.wait(rf"\b{pid}\b")
    typist.type("\r")
    typist.wait("<migrate>")
    typist.type(f"gom migrate {pid} {typist.lists}")
    typist.wait(rf"\b{pid}\b")
    shown = ""
    for name in ("alpha-7", "best", "home"):
        if name not in shown:
            shown += typist.wait(name)


def test_without_a_daemon_nothing_is_typed_and_nothing_is_said(alpha: Daemon, tmp_path: Path) -> None:
    """The line stays as it was; words that no daemon knows are completed all the same."""

    class Nobody:
        unix = f"unix:{tmp_path}/none"

    for shell in SHELLS:
        home = tmp_path / shell.replace(" ", "-")
        home.mkdir()
        if shutil.which(SHELLS[shell][0][0]) is None:
            continue
        with Typist(shell, Nobody, home) as typist:  # type: ignore[arg-type]
            typist.type("gom node al\t\tx\r")
            typist.wait("<node><al ?x>")
            typist.type("gom migr\t\r")
            typist.wait("<migrate>")
