"""
Decides by its name whether criu can carry over a kernel object that a process has open or mapped. No I/O.
"""

from __future__ import annotations

import re
from typing import Final

#: Those that criu dumps and restores whole.
_CARRIED: Final = frozenset(("eventfd", "eventpoll", "timerfd", "signalfd", "inotify", "pidfd"))
#: What the others are called in a sentence; one that is not here is named as the kernel names it.
_NAMES: Final = {
    "io_uring": "io_uring", "perf_event": "performance counters (perf_event)",
    "userfaultfd": "userfaultfd", "fanotify": "fanotify", "bpf-map": "a BPF map", "bpf-prog": "a BPF program",
    "bpf_link": "a BPF link", "landlock-ruleset": "a landlock rule set",
    "seccomp notify": "a seccomp listener", "kvm-vm": "a virtual machine", "kvm-vcpu": "a virtual machine",
    "secretmem": "secret memory", "fscontext": "a mount that is being made", "mount": "a detached mount",
}  # fmt: skip
#: Memory without a name in any file system, which criu carries over, though the kernel shows a name.
NAMELESS: Final = ("/memfd:", "/dev/zero (deleted)", "/anon_hugepage (deleted)", "/[aio] (deleted)", "/SYSV")
#: Devices that are the same everywhere.
DEVICES: Final = frozenset(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty"))
#: Forms of pipes and event counters that criu does not know, or restores as the common form without a word.
SEMAPHORE: Final = "it has an eventfd that is a semaphore (EFD_SEMAPHORE), which criu would make a plain one"
PACKETS: Final = "it has a pipe of packets (O_DIRECT) open, which criu cannot carry over"
_NAMESPACE: Final = re.compile(
    r"(mnt|net|uts|ipc|pid|user|cgroup|time|pid_for_children|time_for_children):\["
)


def form_that_stays(target: str, semaphore: bool, direct: bool) -> str:
    """
    Return why a process cannot move that has an object of a kind that could, in this form; empty if none.

    :param target: as in /proc/PID/fd. :param semaphore: it counts as one. :param direct: opened O_DIRECT.
    """
    if semaphore and target == "anon_inode:[eventfd]":
        return SEMAPHORE
    return PACKETS if direct and target.startswith("pipe:[") else ""


def stays(target: str) -> str:
    """
    Return why a process cannot move that has this open or mapped, empty when this does not keep it.

    :param target: as in /proc/PID/fd: ``anon_inode:[eventpoll]``, ``net:[4026531840]``, a path.
    """
    if target.startswith("anon_inode:"):
        name = target.removeprefix("anon_inode:").strip("[]")
        return "" if name in _CARRIED else f"it uses {_NAMES.get(name, f'a kernel object of kind {name}')}"
    if _NAMESPACE.match(target):
        return f"it has the {target.partition(':')[0]} namespace of a process open"
    if target.startswith("/secretmem"):
        return "it uses secret memory"
    return ""
