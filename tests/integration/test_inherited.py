"""What a job has of the daemon that started it, and of whoever started that: no more than a login gives."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemon import Daemon
from tests.integration.jobs import GOM, NOBODY, gom
from tests.integration.surroundings import ALTER, PROBE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="to be several users one has to be root")

State = dict[str, Any]


class Altered(Daemon):
    """A daemon that is started with other priorities, limits, keys and rights than the usual ones."""

    def command(self) -> Sequence[str]:
        return (sys.executable, "-c", ALTER, *super().command())


@pytest.fixture(scope="module")
def places() -> Iterator[tuple[Daemon, Daemon]]:
    """A daemon as usual and an altered one; everybody reaches their sockets."""
    place = Path(tempfile.mkdtemp(prefix="gomd-inherited-", dir="/tmp"))
    place.chmod(0o711)
    try:
        with Daemon(place / "usual") as usual, Altered(place / "altered") as altered:
            for daemon in (usual, altered):
                for each in (daemon.home, daemon.state):
                    each.chmod(0o711)
                daemon.socket.chmod(0o666)
            yield usual, altered
    finally:
        shutil.rmtree(place)


def state(daemon: Daemon, *options: str, program: Sequence[str] = NOBODY) -> State:
    """Return what a job on a daemon tells of itself."""
    done = gom(
        daemon, "run", *options, "python3", "-c", PROBE, program=program, cwd="/",
        env={"MARK": "1"}, umask=0o27,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: State = json.loads(done.stdout)
    return told


def test_a_job_is_as_after_a_login(places: tuple[Daemon, Daemon]) -> None:
    """Its user's ids and no rights, all processors, no priority, its own keyring, the usual limits."""
    told = state(places[0])
    nobody = 65534
    assert told["ids"] == [[nobody] * 3, [nobody] * 3, [nobody]]
    assert told["status"] == {
        "SigBlk": "0" * 16, "SigPnd": "0" * 16, "CapInh": "0" * 16, "CapPrm": "0" * 16, "CapEff": "0" * 16,
        "CapAmb": "0" * 16, "Cpus_allowed_list": told["status"]["Cpus_allowed_list"],
    }  # fmt: skip
    assert told["ignored"] == 0
    assert told["scheduling"] == [os.SCHED_OTHER, 0, max(0, os.getpriority(os.PRIO_PROCESS, 0))]
    assert (told["io"], told["securebits"], told["umask"]) == (0, 0, 0o27)
    assert told["files"]["oom_score_adj"] == "0"
    assert told["files"]["timerslack_ns"] == "50000"
    assert told["files"]["personality"] == "00000000"
    if os.path.exists("/proc/self/loginuid"):
        assert told["files"]["loginuid"] == str(nobody)
    assert told["autogroup"] in ("0", "No such file or directory")
    assert told["leader"]
    assert told["open"] == [0, 1, 2]
    assert told["descriptors"] == 4  # one for looking
    for number in (resource.RLIMIT_NOFILE, resource.RLIMIT_STACK):  # the caller's, within the machine's
        name = {resource.RLIMIT_NOFILE: "RLIMIT_NOFILE", resource.RLIMIT_STACK: "RLIMIT_STACK"}[number]
        assert told["limits"][name][0] == resource.getrlimit(number)[0]
    assert told["secret"] is False
    assert told["keyring"].startswith("keyring;65534;")
    assert "MARK" in told["environment"]
    assert "NOTIFY_SOCKET" not in told["environment"]


def test_nothing_of_an_altered_daemon_reaches_its_jobs(places: tuple[Daemon, Daemon]) -> None:
    """Under nice, chrt, taskset, prlimit, choom, setarch, keyctl and setpriv its jobs are as all jobs."""
    usual, altered = places
    own = Path(f"/proc/{altered.process.pid}")
    assert (own / "oom_score_adj").read_text().strip() in ("333", "-500")  # lowered, where it may
    assert "CapAmb:\t0000000000000440" in (own / "status").read_text()
    assert os.getpriority(os.PRIO_PROCESS, altered.process.pid) >= 7
    for program in (NOBODY, GOM):
        one, other = state(usual, program=program), state(altered, program=program)
        for each in (one, other):
            del each["cgroup"]
        assert other == one


def test_a_job_with_a_terminal_too(places: tuple[Daemon, Daemon]) -> None:
    """It has no more than one with pipes, and its terminal is its controlling one."""
    told = state(places[1], "-t")
    assert told["secret"] is False
    assert told["leads_group"]
    assert told["status"]["CapEff"] == "0" * 16
    done = gom(places[1], "run", "-t", "sh", "-c", "tty < /dev/tty", program=NOBODY, cwd="/")
    assert b"/dev/" in done.stdout, done


def test_each_job_has_a_keyring_of_its_own(places: tuple[Daemon, Daemon]) -> None:
    """More jobs at once than a user may have keyrings, and what one of them keeps no other sees."""
    keep = PROBE.replace("print(json", "assert not has('mine')\nprint(json") + (
        "\nlibc.syscall(ADD_KEY, b'user', b'mine', b'x', 1, -3)\nprint(has('mine'))\n"
    )
    for _ in range(3):
        done = gom(places[0], "run", "python3", "-c", keep, program=NOBODY, cwd="/")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == b"True"


def test_a_command_has_no_score_of_the_daemons(tmp_path: Path) -> None:
    """What `do` starts can be ended as any other process when memory runs out."""
    commands = "[commands]\nscore = /bin/sh -c 'sleep 0.2; cat /proc/self/oom_score_adj'\n"
    with Altered(tmp_path / "altered", ini=commands) as altered, altered.connect_unix() as line:
        assert line.ask("do score").block == ["0", "exit 0"]
