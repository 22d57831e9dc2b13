"""The limits of this process: open files, memory score, thread switching."""

from __future__ import annotations

import contextlib
import resource
import sys
from typing import Final

#: Added to this process's share of memory, in thousandths, when the kernel chooses a process to kill.
OOM_SCORE: Final = -500

#: Open files beyond those of callers and jobs: connections to other nodes for `@NODE` and `@all`, which
#: `gomd.verbs.dispatch` limits, connections of admins, logs, /proc, of which a scan keeps up to 2,048 open.
EXTRA_FILES = 6144


def raise_file_limit(wanted: int) -> int:
    """
    Let this process open ``wanted`` files and `EXTRA_FILES` more, up to its hard limit.

    :param wanted: files of callers and jobs. :returns: the new limit.
    """
    wanted += EXTRA_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        best = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, best), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def lower_oom_score() -> None:
    """
    Let the kernel kill other processes first when memory runs out, if this process may ask for that.

    A lower score, such as one from systemd's `OOMScoreAdjust`, is kept. Jobs do not inherit it (see
    `gomd.jobs.supervisor.attributes`), and neither do commands (`reset_oom_score`).
    """
    try:
        with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
            if int(file.read()) > OOM_SCORE:
                file.seek(0)
                file.write(str(OOM_SCORE))
    except (OSError, ValueError):
        pass


def reset_oom_score(pid: int) -> None:
    """Make a new child and its descendants as likely as others to be killed when memory runs out."""
    with (
        contextlib.suppress(OSError),
        open(f"/proc/{pid}/oom_score_adj", "w", encoding="ascii") as file,
    ):
        file.write("0")


def share_interpreter() -> None:
    """
    Let no thread keep the interpreter for more than a millisecond while another one waits for it.

    A request takes several turns of the reactor. With Python's default of 5 ms, each of them could wait 5 ms
    for the thread that scans /proc.
    """
    sys.setswitchinterval(0.001)
