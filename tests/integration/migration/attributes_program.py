"""
A program that sets attributes of itself and of a second thread, and tells them for each line of its input.

It is run by /usr/bin/python3, standard library only. Each line gets one line of JSON: name to value, where a
value that this user or kernel cannot read or set is left out.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import re
import resource
import signal
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any

_NAME = ctypes.create_string_buffer(b"renamed")

libc = ctypes.CDLL(None, use_errno=True)
PAGE = mmap.PAGESIZE


def checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def prctl(option: int, *values: int) -> int:
    return checked(libc.prctl(option, *(ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4])))


def syscall(number: int, *values: Any) -> int:
    words = (ctypes.c_long(value) if isinstance(value, int) else value for value in values)
    return checked(libc.syscall(ctypes.c_long(number), *words))


def by_pointer(option: int) -> int:
    value = ctypes.c_uint()
    prctl(option, ctypes.addressof(value))
    return value.value


def read(name: str) -> str:
    with open(f"/proc/thread-self/{name}") as file:
        return file.read()


def process_file(name: str) -> str:
    with open(f"/proc/self/{name}") as file:
        return file.read().strip()


def write(name: str, text: str) -> None:
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)


def status(name: str) -> str:
    return next(
        line.split(":", 1)[1].strip() for line in read("status").splitlines() if line.startswith(name + ":")
    )


#: System calls by their number on x86_64, and on newer architectures.
X86 = os.uname().machine == "x86_64"
IOPRIO_GET, IOPRIO_SET = (252, 251) if X86 else (31, 30)
SET_MEMPOLICY, GET_MEMPOLICY = (238, 239) if X86 else (237, 236)
SCHED_SETATTR, SCHED_GETATTR = (314, 315) if X86 else (274, 275)
MEMBARRIER = 324 if X86 else 283


def scheduling_attributes() -> list[int]:
    data = ctypes.create_string_buffer(56)
    syscall(SCHED_GETATTR, 0, data, 56, 0)
    # flags, the runtime of a slice, and the clamps of utilisation
    _size, policy, flags, nice, priority, _runtime, deadline, period, least, most = struct.unpack(
        "=IIQiIQQQII", data
    )
    return [policy, flags, nice, priority, deadline, period, least, most]


def set_scheduling_attributes(
    policy: int, flags: int, nice: int = 0, runtime: int = 0, least: int = 0, most: int = 1024
) -> None:
    data = struct.pack("=IIQiIQQQII", 56, policy, flags, nice, 0, runtime, 0, 0, least, most)
    syscall(SCHED_SETATTR, 0, data, 0)


def mempolicy() -> list[int]:
    mode, nodes = ctypes.c_int(), (ctypes.c_ulong * 16)()
    syscall(GET_MEMPOLICY, ctypes.byref(mode), nodes, 1024, 0, 0)
    return [mode.value, nodes[0]]


region = mmap.mmap(-1, 16 * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
region[:] = b"x" * (16 * PAGE)
address = ctypes.addressof(ctypes.c_char.from_buffer(region))
pipe = os.pipe()
memfd = os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
os.write(memfd, b"data")
file = os.open("/usr/bin/env", os.O_RDONLY)


def vma_flags(at: int) -> list[str]:
    """Flags of the mapping around an address: those that a program sets."""
    lines, wanted = process_file("smaps").splitlines(), False
    for line in lines:
        if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            wanted = int(found[1], 16) <= at < int(found[2], 16)
        elif wanted and line.startswith("VmFlags:"):
            return [
                flag
                for flag in line.split()[1:]
                if flag in ("lo", "dc", "wf", "dd", "hg", "nh", "mg", "sr", "rr")
            ]
    return []


def altstack() -> bool:
    data = ctypes.create_string_buffer(24)
    checked(libc.sigaltstack(None, data))
    pointer, _flags, size = struct.unpack("PiN", data.raw[:24])
    return bool(pointer == address and size == 8 * PAGE)


def set_altstack() -> None:
    checked(libc.sigaltstack(struct.pack("PiN", address, 0, 8 * PAGE), None))


def robust_list() -> int:
    head, size = ctypes.c_void_p(), ctypes.c_size_t()
    syscall(274 if X86 else 100, 0, ctypes.byref(head), ctypes.byref(size))
    return size.value if head.value else 0


def restartable() -> bool:
    """Whether the kernel tells this thread on which processor it runs, as the C library has asked for."""
    offset = ctypes.c_ssize_t.in_dll(libc, "__rseq_offset").value
    if not X86 or not ctypes.c_uint.in_dll(libc, "__rseq_size").value:
        raise OSError("no rseq")
    libc.pthread_self.restype = ctypes.c_ulong
    told = ctypes.c_uint32.from_address(libc.pthread_self() + offset + 4).value
    return told in os.sched_getaffinity(0)


limits = {name[7:]: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
_OWN_LIMITS = {"NOFILE": 500, "CORE": 12345, "STACK": 7 << 20, "NPROC": 4321, "CPU": 5000, "DATA": 4 << 30,
               "SIGPENDING": 777, "MSGQUEUE": 77777, "MEMLOCK": 4 << 20, "FSIZE": 1 << 33}  # fmt: skip


def set_limits() -> None:
    for name, soft in _OWN_LIMITS.items():
        hard = resource.getrlimit(limits[name])[1]
        resource.setrlimit(limits[name], (soft, hard))


def set_owner() -> None:
    fcntl.fcntl(pipe[0], fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe[0], 10, signal.SIGRTMIN + 3)
    fcntl.fcntl(pipe[0], fcntl.F_SETFL, fcntl.fcntl(pipe[0], fcntl.F_GETFL) | os.O_ASYNC)


_NAME = ctypes.create_string_buffer(b"renamed")
Getter = Callable[[], Any]
Setter = Callable[[], Any]
#: Name: how to set it, and how to tell it. Of the process, or of each thread.
OF_THREAD: dict[str, tuple[Setter | None, Getter]] = {
    "processors": (lambda: os.sched_setaffinity(0, {1}), lambda: sorted(os.sched_getaffinity(0))),
    "I/O priority": (lambda: syscall(IOPRIO_SET, 1, 0, 2 << 13 | 6), lambda: syscall(IOPRIO_GET, 1, 0)),
    "timer slack": (lambda: prctl(29, 777_000), lambda: prctl(30)),
    "nice": (lambda: os.setpriority(os.PRIO_PROCESS, 0, 7), lambda: os.getpriority(os.PRIO_PROCESS, 0)),
    "scheduling policy": (
        lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
        lambda: os.sched_getscheduler(0),
    ),
    "utilisation clamp": (
        lambda: set_scheduling_attributes(3, 0x60, nice=7, least=100, most=900),
        lambda: scheduling_attributes()[-2:],
    ),
    "reset on fork": (
        lambda: set_scheduling_attributes(3, 0x61, nice=7, least=100, most=900),
        lambda: scheduling_attributes()[1],
    ),
    "memory policy": (lambda: syscall(SET_MEMPOLICY, 1, struct.pack("Q", 1), 64), mempolicy),
    "name": (lambda: prctl(15, ctypes.addressof(_NAME)), lambda: read("comm").strip()),
    "signal mask": (
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}),
        lambda: status("SigBlk"),
    ),
    "pending signals": (
        lambda: signal.pthread_kill(threading.get_ident(), signal.SIGUSR1),
        lambda: status("SigPnd"),
    ),
    "alternate signal stack": (set_altstack, altstack),
    "robust futexes": (None, robust_list),
    "restartable sequences": (None, restartable),
    "no new privileges": (lambda: prctl(38, 1), lambda: prctl(39)),
    "capability bounding set": (None, lambda: status("CapBnd")),
    "capabilities": (None, lambda: [status(f"Cap{kind}") for kind in ("Inh", "Prm", "Eff", "Amb")]),
    "securebits": (None, lambda: prctl(27)),
    "time stamp counter": (None, lambda: by_pointer(25)),
    "parent-death signal": (lambda: prctl(1, signal.SIGUSR2), lambda: by_pointer(2)),
    "machine check policy": (lambda: prctl(33, 1, 1), lambda: prctl(34)),
    "speculation, store bypass": (lambda: prctl(53, 0, 4), lambda: prctl(52, 0)),
    "speculation, indirect branch": (lambda: prctl(53, 1, 4), lambda: prctl(52, 1)),
    "I/O flusher": (lambda: prctl(57, 1), lambda: prctl(58)),
    "core scheduling": (lambda: prctl(62, 1, 0, 0, 0), lambda: bool(core_cookie())),
    "seccomp": (None, lambda: status("Seccomp")),
    "user ids": (None, lambda: status("Uid")),
    "group ids": (None, lambda: [status("Gid"), status("Groups")]),
}
OF_PROCESS: dict[str, tuple[Setter | None, Getter]] = {
    "core dump filter": (lambda: write("coredump_filter", "0x13"), lambda: process_file("coredump_filter")),
    "OOM score adjustment": (lambda: write("oom_score_adj", "333"), lambda: process_file("oom_score_adj")),
    "personality": (None, lambda: process_file("personality")),
    "dumpable": (None, lambda: prctl(3)),
    "keep capabilities": (lambda: prctl(8, 1), lambda: prctl(7)),
    "child subreaper": (lambda: prctl(36, 1), lambda: by_pointer(37)),
    "no huge pages": (lambda: prctl(41, 1), lambda: prctl(42)),
    "same-page merging": (lambda: prctl(67, 1), lambda: prctl(68)),
    "umask": (lambda: os.umask(0o31), lambda: status("Umask")),
    "limits": (set_limits, lambda: {name: resource.getrlimit(number) for name, number in limits.items()}),
    "login uid": (None, lambda: process_file("loginuid")),
    "session id": (None, lambda: process_file("sessionid")),
    "autogroup": (None, lambda: process_file("autogroup")),
    "cgroup": (None, lambda: process_file("cgroup")),
    "security label": (None, lambda: process_file("attr/current")),
    "process ids": (None, lambda: [os.getpid(), os.getpgid(0), os.getsid(0)]),
    "signal actions": (
        lambda: [
            signal.signal(signal.SIGHUP, signal.SIG_IGN),
            signal.signal(signal.SIGUSR2, lambda *_: None),
        ],
        lambda: [status("SigIgn"), status("SigCgt")],
    ),
    "pending signals of the process": (None, lambda: status("ShdPnd")),
    "membarrier registration": (
        lambda: syscall(MEMBARRIER, 16, 0, 0),
        lambda: syscall(MEMBARRIER, 512, 0, 0),
    ),
    "locked memory": (
        lambda: checked(libc.mlock(ctypes.c_void_p(address), PAGE)),
        lambda: vma_flags(address),
    ),
    "memory advice, no dump": (lambda: region.madvise(16, PAGE, PAGE), lambda: vma_flags(address + PAGE)),
    "memory advice, no fork": (
        lambda: region.madvise(10, 2 * PAGE, PAGE),
        lambda: vma_flags(address + 2 * PAGE),
    ),
    "memory advice, wipe on fork": (None, lambda: vma_flags(address + 3 * PAGE)),
    "memory advice, huge pages": (
        lambda: region.madvise(14, 4 * PAGE, PAGE),
        lambda: vma_flags(address + 4 * PAGE),
    ),
    "memory advice, mergeable": (
        lambda: region.madvise(12, 5 * PAGE, PAGE),
        lambda: vma_flags(address + 5 * PAGE),
    ),
    "memory advice, random": (
        lambda: region.madvise(1, 6 * PAGE, PAGE),
        lambda: vma_flags(address + 6 * PAGE),
    ),
    "signal of a descriptor": (
        set_owner,
        lambda: [
            fcntl.fcntl(pipe[0], fcntl.F_GETOWN),
            fcntl.fcntl(pipe[0], 11),
            fcntl.fcntl(pipe[0], fcntl.F_GETFL),
        ],
    ),
    "size of a pipe": (lambda: fcntl.fcntl(pipe[0], 1031, 1 << 17), lambda: fcntl.fcntl(pipe[0], 1032)),
    "seals": (lambda: fcntl.fcntl(memfd, 1033, 0x0E), lambda: fcntl.fcntl(memfd, 1034)),
    "position in a file": (lambda: os.lseek(file, 1234, os.SEEK_SET), lambda: os.lseek(file, 0, os.SEEK_CUR)),
    "root directory": (None, lambda: os.readlink("/proc/self/root")),
    "current directory": (None, os.getcwd),
    "host name": (None, lambda: os.uname().machine),
    "command line": (None, lambda: process_file("cmdline")[:60]),
    "environment": (None, lambda: len(process_file("environ"))),
    "program": (None, lambda: os.readlink("/proc/self/exe")),
}


def set_capabilities() -> None:
    """Root without a right, and one that stays: bounding, inheritable and ambient, with securebits."""
    prctl(24, 22)  # CAP_SYS_BOOT from the bounding set
    prctl(28, 0x2F)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    checked(libc.capget(header, data))
    data[2] = 1 << 5  # CAP_KILL, inheritable
    checked(libc.capset(header, data))
    prctl(47, 2, 5)


#: Attributes that are set only when an argument asks for them.
MORE: dict[str, Setter] = {
    "dumpable": lambda: prctl(4, 0),
    "scheduling policy": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(3)),
    "nice": lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)),
    "reset on fork": lambda: os.sched_setscheduler(0, os.SCHED_BATCH | 0x40000000, os.sched_param(0)),
    "capabilities": set_capabilities,
    "limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    "memory advice, wipe on fork": lambda: region.madvise(18, 3 * PAGE, PAGE),
}


def core_cookie() -> int:
    value = ctypes.c_ulong()
    checked(libc.prctl(62, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.byref(value)))
    return value.value


def set_all(table: dict[str, tuple[Setter | None, Getter]], said: dict[str, str]) -> None:
    for name, (setter, _getter) in table.items():
        if setter is not None:
            try:
                setter()
            except (OSError, ValueError) as error:
                said[name] = str(error)


def tell(table: dict[str, tuple[Setter | None, Getter]], suffix: str = "") -> dict[str, Any]:
    found = {}
    for name, (_setter, getter) in table.items():
        try:
            found[name + suffix] = getter()
        except (OSError, StopIteration, ValueError):
            pass
    return found


def main() -> None:
    said: dict[str, str] = {}
    for table in (OF_PROCESS, OF_THREAD):
        for name in table.keys() & MORE.keys() & set(sys.argv[1:]):
            table[name] = (MORE[name], table[name][1])
    asked, answered = threading.Semaphore(0), threading.Semaphore(0)
    answers: dict[str, Any] = {}

    def second() -> None:
        set_all({name: each for name, each in OF_THREAD.items() if name != "alternate signal stack"}, {})
        while True:
            answered.release()
            asked.acquire()
            answers.update(tell(OF_THREAD, " of the second thread"))

    set_all(OF_PROCESS, said)
    threading.Thread(target=second, daemon=True).start()
    answered.acquire()
    set_all(OF_THREAD, said)
    print(json.dumps(said), flush=True)
    for _line in sys.stdin:
        asked.release()
        answered.acquire()
        print(json.dumps({**tell(OF_PROCESS), **tell(OF_THREAD), **answers}), flush=True)


if __name__ == "__main__":
    main()
