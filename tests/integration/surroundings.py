"""
Programs for tests of what a process inherits: one that tells all of it, one that changes it and goes on.

`PROBE` prints a JSON object about itself. `ALTER` gives itself other priorities, limits, keys and rights and
executes what its arguments say.
"""

from __future__ import annotations

import os
import struct

from gomd.jobs.checkpoint.syscalls import numbers

SECRET = "gomd-test-secret"
_NUMBERS = numbers(os.uname().machine, struct.calcsize("P"))
assert _NUMBERS is not None, "the system calls of this machine are not known"
_COMMON = f"""
import ctypes, json, os, resource, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
KEYCTL, IOPRIO_SET = {_NUMBERS["keyctl"]}, {_NUMBERS["ioprio_set"]}
ADD_KEY = KEYCTL - 2  # in every table of numbers
SECRET = {SECRET!r}
"""

PROBE = (
    _COMMON
    + """
def read(name):
    try:
        with open("/proc/self/" + name) as file:
            return file.read().strip("\\0\\n ")
    except OSError as error:
        return error.strerror
status = dict(line.split(":", 1) for line in read("status").splitlines())
def has(key):
    # KEYCTL_SEARCH in the session keyring
    return libc.syscall(KEYCTL, 10, -3, b"user", key.encode(), 0) != -1
def session():
    text = ctypes.create_string_buffer(200)
    libc.syscall(KEYCTL, 6, -3, text, 200)
    return text.value.decode()
def priority_of_io():
    # ioprio_get is the number behind ioprio_set wherever this runs
    return libc.syscall(IOPRIO_SET + 1, 1, 0)
print(json.dumps({
    "ids": [os.getresuid(), os.getresgid(), os.getgroups()],
    "status": {name: status[name].strip() for name in (
        "SigBlk", "SigPnd", "CapInh", "CapPrm", "CapEff", "CapAmb", "Cpus_allowed_list")},
    "ignored": int(status["SigIgn"], 16) & ~(1 << 12 | 1 << 24),  # PIPE and XFSZ are Python's own
    "files": {name: read(name) for name in (
        "loginuid", "oom_score_adj", "coredump_filter", "timerslack_ns", "personality")},
    "autogroup": read("autogroup").rpartition("nice ")[2],
    "cgroup": read("cgroup"),
    "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource)
               if name.startswith("RLIMIT_")},
    "scheduling": [os.sched_getscheduler(0), os.sched_getparam(0).sched_priority, os.getpriority(0, 0)],
    "io": priority_of_io() >> 13,
    "securebits": libc.prctl(27, 0, 0, 0, 0),
    "pdeathsig": None,
    "open": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:3],
    "descriptors": len(os.listdir("/proc/self/fd")),
    "umask": os.umask(0),
    "leader": os.getsid(0) == os.getpid() == os.getpgrp(),
    "leads_group": os.getpid() == os.getpgrp(),
    "directory": os.getcwd(),
    "environment": sorted(os.environ),
    "secret": has(SECRET),
    "keyring": session(),
}))
"""
)

ALTER = (
    _COMMON
    + """
os.umask(0o77)
libc.syscall(KEYCTL, 1, 0)  # a new session keyring, with a secret in it
secret = b"payload"
number = libc.syscall(ADD_KEY, b"user", SECRET.encode(), secret, len(secret), -3)
assert number > 0, "no key can be added"
libc.syscall(IOPRIO_SET, 1, 0, 3 << 13)  # idle
os.nice(7)
os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
for name, value in (("coredump_filter", "0x7f"), ("oom_score_adj", "333"), ("timerslack_ns", "4000000")):
    with open("/proc/self/" + name, "w") as file:
        file.write(value)
libc.prctl(29, ctypes.c_ulong(4000000), 0, 0, 0)
libc.personality(ctypes.c_ulong(0x0040000))  # ADDR_NO_RANDOMIZE
for name, soft in (("CORE", 0), ("FSIZE", 1 << 40), ("STACK", 1 << 20), ("NOFILE", 4000), ("MEMLOCK", 65536)):
    number = getattr(resource, "RLIMIT_" + name)
    resource.setrlimit(number, (soft, resource.getrlimit(number)[1]))
for number in (signal.SIGUSR1, signal.SIGALRM, signal.SIGCONT):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGWINCH})
class Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]
header, data = Header(0x20080522, 0), (ctypes.c_uint32 * 6)()
libc.capget(ctypes.byref(header), data)
data[2] = 1 << 10 | 1 << 6  # inheritable: NET_BIND_SERVICE, SETGID
assert libc.capset(ctypes.byref(header), data) == 0
for number in (10, 6):
    assert libc.prctl(47, 2, number, 0, 0) == 0  # ambient
libc.prctl(28, 1 << 2, 0, 0, 0)  # SECBIT_NO_SETUID_FIXUP: rights outlive a change of the user
for number in (200, 3000):
    os.dup2(0, number)
os.execvp(sys.argv[1], sys.argv[1:])
"""
)
