"""What files of /proc tell of a process, as they were captured."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint.kernel_objects import form_that_stays, stays
from gomd.jobs.checkpoint.mapped_files import Mapping, parse_maps
from gomd.jobs.checkpoint.process_status import parse_fdinfo, parse_limits, parse_status
from gomd.jobs.checkpoint.unix_peers import UnixSocket, outside, parse_sockets
from gomd.jobs.checkpoint.whole_process import waiting
from tests.unit.scratch import scratch

STATUS = """\
Name:	python3
State:	D (disk sleep)
PPid:	42
TracerPid:	7
Uid:	1000	1000	0	1000
Gid:	100	100	100	100
Groups:	4 24
Threads:	3
CapPrm:	0000000000000002
CapEff:	0000000000000000
CapAmb:	0000000000000004
NoNewPrivs:	1
Seccomp:	2
"""
MAPS = """\
55d0-55d1 r--p 00000000 08:01 1234                     /usr/bin/python3.11
7f00-7f01 r--p 00000000 08:01 1235                     /data/a b (deleted)
7f01-7f02 r--p 00000000 08:01 1236                     /data/log
7f02-7f03 rw-s 00001000 08:01 1236                     /data/log
7f03-7f04 rw-s 00000000 00:0f 17                       anon_inode:[io_uring]
7f04-7f05 rw-p 00000000 00:00 0                        [heap]
7f05-7f06 rw-p 00000000 00:00 0
"""


class ParserTests(SynchronousTestCase):
    def test_status(self) -> None:
        """Ids, rights, tracer, state."""
        found = parse_status(STATUS)
        self.assertEqual((found.state, found.tracer, found.threads, found.seccomp), ("D", 7, 3, 2))
        self.assertEqual((found.uids, found.gids, found.groups), ({0, 1000}, {100}, {4, 24}))
        self.assertEqual((found.capabilities, found.no_new_privileges), (6, True))
        self.assertRaises(ValueError, parse_status, "Name:\tx\n")

    def test_fdinfo(self) -> None:
        """Access, position, locks, leases, files underway and what is watched."""
        found = parse_fdinfo(
            "pos:\t17\nflags:\t0100002\nmnt_id:\t29\nlock:\t1: FLOCK  ADVISORY  WRITE 5 0 EOF\n"
        )
        self.assertEqual((found.position, found.written, found.locked), (17, True, True))
        self.assertFalse(parse_fdinfo("pos:\t0\nflags:\t0100000\n").written)
        self.assertTrue(parse_fdinfo("flags:\t012000000\n").path_only)
        self.assertFalse(parse_fdinfo("flags:\t012000001\n").written, "opened as a path only")
        self.assertTrue(parse_fdinfo("scm_fds: 2\n").in_transit)
        watch = "inotify wd:1 ino:1a sdev:fd00001 mask:2 ignored_mask:0 fhandle-bytes:8 f_handle:00\n"
        self.assertEqual(parse_fdinfo(watch).watched, ((0x1A, 0xFD00001),))
        counter = "flags:\t04002\neventfd-count:                3\neventfd-id: 1\neventfd-semaphore: %d\n"
        self.assertEqual([parse_fdinfo(counter % bit).semaphore for bit in (0, 1)], [False, True])
        self.assertFalse(parse_fdinfo("flags:\t04002\n").direct)
        self.assertTrue(parse_fdinfo(f"flags:\t0{os.O_DIRECT | 1:o}\n").direct)

    def test_forms(self) -> None:
        """A semaphore and a pipe of packets stay; files may be opened O_DIRECT."""
        for target, semaphore, direct, stays_here in (
            ("anon_inode:[eventfd]", True, False, True), ("anon_inode:[eventfd]", False, False, False),
            ("pipe:[7]", False, True, True), ("pipe:[7]", False, False, False), ("/data", False, True, False),
        ):  # fmt: skip
            self.assertEqual(bool(form_that_stays(target, semaphore, direct)), stays_here)

    def test_limits(self) -> None:
        """Hard ones by name."""
        text = Path("/proc/self/limits").read_text()
        self.assertIn("open files", parse_limits(text))
        line = "head\nMax cpu time              5                    unlimited            seconds\n"
        self.assertEqual(parse_limits(line), {"cpu time": (1 << 62) - 1})

    def test_maps(self) -> None:
        """Each file once, as written if one of its mappings is; kernel objects too."""
        self.assertEqual(parse_maps(MAPS), [
            Mapping("/usr/bin/python3.11", "55d0-55d1", False),
            Mapping("/data/a b (deleted)", "7f00-7f01", False),
            Mapping("/data/log", "7f02-7f03", True), Mapping("anon_inode:[io_uring]", "7f03-7f04", True),
        ])  # fmt: skip

    @given(st.text(max_size=200))
    def test_any_text(self, text: str) -> None:
        """Gives a value, or the one error."""
        parse_fdinfo(text)
        parse_maps(text)
        parse_limits(text)
        try:
            parse_status(text)
        except ValueError:
            pass

    def test_kernel_objects(self) -> None:
        """What criu carries, what it does not know, and what is none."""
        for target, told in (
            ("anon_inode:[eventpoll]", ""), ("anon_inode:[eventfd]", ""), ("anon_inode:inotify", ""),
            ("anon_inode:[io_uring]", "it uses io_uring"), ("anon_inode:bpf-map", "it uses a BPF map"),
            ("anon_inode:[newthing]", "it uses a kernel object of kind newthing"),
            ("net:[4026531840]", "it has the net namespace of a process open"), ("/net:[x]", ""),
            ("pipe:[7]", ""), ("/secretmem (deleted)", "it uses secret memory"),
        ):  # fmt: skip
            self.assertEqual(stays(target), told)


class UnixSocketTests(SynchronousTestCase):
    def _message(self, inode: int, name: bytes, peer: int) -> bytes:
        body = struct.pack("=BBBxIII", 1, 1, 1, inode, 0, 0)
        for kind, value in ((0, name), (2, struct.pack("=I", peer))):
            if value.strip(b"\0"):
                body += struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
        return struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 0) + body

    def test_messages_of_the_kernel(self) -> None:
        """Names, abstract ones too, and peers."""
        data = (
            self._message(5, b"/run/x\0", 0)
            + self._message(6, b"\0abs", 5)
            + struct.pack("=IHHII", 16, 3, 2, 1, 0)
        )
        self.assertEqual(
            list(parse_sockets(data)), [UnixSocket(5, "/run/x", 0), UnixSocket(6, "@abs", 5), None]
        )
        error = struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -13)
        self.assertRaises(OSError, list, parse_sockets(error))

    @given(st.binary(max_size=120))
    def test_any_bytes(self, data: bytes) -> None:
        """Do no harm."""
        try:
            list(parse_sockets(data))
        except OSError:
            pass

    def test_who_is_outside(self) -> None:
        """A peer that is none of the job's."""
        known = {
            5: UnixSocket(5, "/run/x", 0),
            6: UnixSocket(6, "", 5),
            7: UnixSocket(7, "", 8),
            8: UnixSocket(8, "", 7),
        }
        self.assertEqual(
            outside([6], known), "it has a socket open to another program of this machine, at /run/x"
        )
        self.assertEqual(outside([7], known), "it has a socket open to another program of this machine")
        self.assertEqual(outside([7, 8, 99], known), "")


class WaitingTests(SynchronousTestCase):
    def _process(self, state: str, call: str) -> str:
        here = scratch(self)
        os.mkdir(here)
        Path(here, "status").write_text(f"Name:\tx\nState:\t{state} (x)\n")
        Path(here, "syscall").write_text(call)
        return here

    def test_a_process_that_cannot_be_stopped(self) -> None:
        """It is looked at some times, as waiting for a moment is usual."""
        slept: list[float] = []
        told = waiting([self._process("D", "0 0x3 0x7f"), self._process("S", "0 0x3")], slept.append)
        self.assertEqual(len(told), 1)
        self.assertIn("waits in the kernel and cannot be stopped", told[0])
        self.assertLess(sum(slept), 0.05)
        [vforked] = waiting([self._process("D", "58 0x3")], slept.append)
        self.assertIn("made with vfork", vforked)
        here = self._process("D", "0 0x3")

        def goes_on(_seconds: float) -> None:
            Path(here, "status").write_text("\nState:\tR\n")

        self.assertEqual(waiting([here], goes_on), [])
        self.assertEqual(waiting([], slept.append), [])
