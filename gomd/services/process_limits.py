"""The limits of this process: files it may open, and how long one of its threads keeps the others waiting."""

from __future__ import annotations

import contextlib
import gc
import resource
import sys
from typing import Final

#: What is added to this process's share of memory, in thousandths, when the kernel looks for one to end.
OOM_SCORE: Final = -500

#: Files that are open beside those of callers and jobs: connections to other nodes for `@NODE` and `@all`
#: (`gomd.verbs.dispatch` bounds them), admins' connections, logs, /proc.
BESIDE = 4096


def raise_file_limit(wanted: int) -> int:
    """
    Let this process open ``wanted`` files and `BESIDE` more, as far as its hard limit lets it.

    :param wanted: those of callers and jobs. :returns: how many it may open now.
    """
    wanted += BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        best = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, best), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def lower_oom_score() -> None:
    """
    Let the kernel end other processes first when memory runs out, where it lets this one say so.

    A score that is lower already, such as that of systemd's `OOMScoreAdjust`, stays. Jobs and commands do
    not keep it: see `gomd.jobs.supervisor.attributes`.
    """
    try:
        with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
            if int(file.read()) > OOM_SCORE:
                file.seek(0)
                file.write(str(OOM_SCORE))
    except (OSError, ValueError):
        pass


def share_interpreter() -> None:
    """
    Let no thread keep the interpreter for more than a millisecond while another one wants it.

    A request is several turns of the reactor; at Python's own 5 ms each of them would wait as long for
    the thread that scans /proc.
    """
    sys.setswitchinterval(0.001)


def spare_old_objects() -> None:
    """
    Let the garbage collector look no more at what is there now: modules, classes, the parts of the daemon.

    It all stays until the end anyway. Looking at it again at each full collection would stop the whole
    daemon for some ten milliseconds, most often while thousands of processes are scanned.
    """
    gc.collect()
    gc.freeze()
