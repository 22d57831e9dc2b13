"""Before anything is frozen, `gom migrate --dry-run` says all that stands in the way."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint.free_ports import NotFree
from gomd.jobs.checkpoint.inet_sockets import Port
from gomd.jobs.checkpoint.inspection import MAX_PROCESSES, read_needs, read_offer, read_stays
from gomd.jobs.checkpoint.requirements import (
    Capabilities,
    FileRequirement,
    Requirements,
    build_id,
    parse_flags,
    reasons,
)
from tests.unit.scratch import scratch

_LIBRARY = FileRequirement("/lib/libc.so.6", 100, "aa")
NEEDS = Requirements(
    50 << 20, "x86_64", "6.1.0", 1000, "ann", ("avx", "sse"), ("/home/ann",), (_LIBRARY,), node="alpha",
    gids=(27, 100), limits=(("open files", 4096),), huge=2 << 20,
)  # fmt: skip
OFFER = Capabilities(
    60 << 20, 60 << 20, "x86_64", "6.1.7", "ann", ("avx", "avx2", "sse"), ("/home/ann",), (_LIBRARY,),
    gids=(27, 100, 1000), limits=(("open files", 4096),), huge=2 << 20,
)  # fmt: skip


class ReasonsTests(SynchronousTestCase):
    def test_a_node_that_has_all_gives_no_reason(self) -> None:
        """More than is needed does no harm."""
        self.assertEqual(reasons(NEEDS, OFFER, "beta"), [])

    def test_each_lack_is_a_reason_with_the_nodes_name(self) -> None:
        """What is missing is named, with the numbers."""
        for change, told in (
            ({"flags": ("sse",)}, "the processor of beta has no avx"),
            ({"machine": "aarch64"}, "beta is aarch64, it runs on x86_64"),
            ({"kernel": "5.10.0"}, "the kernel of beta is 5.10.0, this one 6.1.0"),
            ({"memory": 1 << 20}, "it has 50 MB, beta has 1 MB free"),
            ({"room": 1 << 20}, "beta has no room for 50 MB of images: see [jobs] spool"),
            ({"user": "bob"}, "user 1000 is ann here and is bob on beta"),
            ({"user": ""}, "user 1000 is ann here and is nobody on beta"),
            ({"directories": ()}, "beta has no directory /home/ann"),
            (
                {"files": ()},
                "beta has no /lib/libc.so.6: install the same version of its package on beta",
            ),
            (
                {"files": (replace(_LIBRARY, build_id="bb"),)},
                "/lib/libc.so.6 is another one on beta than on alpha (another build): "
                "install the same version of its package on beta",
            ),
            (
                {"gids": (100,)},
                "ann is not in group 27 on beta: add the user to it there",
            ),
            (
                {"limits": (("open files", 1024),)},
                "its limit of open files is 4096, beta allows 1024: raise that of its daemon",
            ),
            ({"huge": 1 << 20}, "it has 2 MB of huge pages, beta has 1 MB free"),
            ({"criu": "criu is not installed"}, "beta: criu is not installed"),
        ):
            self.assertEqual(reasons(NEEDS, replace(OFFER, **change), "beta"), [told])

    def test_a_limit_of_memory(self) -> None:
        """It counts for a job that has one only."""
        offer = replace(OFFER, no_limit="the kernel has no memory controller")
        self.assertEqual(reasons(NEEDS, offer, "beta"), [])
        limited = replace(NEEDS, memory_max=1 << 30)
        self.assertEqual(
            reasons(limited, offer, "beta"),
            ["beta cannot limit its memory: the kernel has no memory controller"],
        )
        self.assertEqual(reasons(limited, OFFER, "beta"), [])

    def test_images_go_to_a_newer_criu_only(self) -> None:
        """An older one cannot read them; what is not known is left to criu."""
        for here, there, said in (
            ("4.2.1", "4.1.1", True), ("4.1.1", "4.2.1", False), ("4.2", "4.10", False),
            ("4.1.1", "4.1.1", False), ("", "4.1.1", False), ("4.2.1", "", False),
        ):  # fmt: skip
            found = reasons(replace(NEEDS, criu=here), replace(OFFER, criu_version=there), "beta")
            self.assertEqual(bool(found), said, (here, there, found))
            self.assertTrue(not said or "beta has criu 4.1.1" in found[0])

    def test_ports_that_are_taken(self) -> None:
        """Each is named."""
        taken = NotFree(Port("tcp", "0.0.0.0", 80), errno.EADDRINUSE)
        found = reasons(NEEDS, replace(OFFER, not_free=(taken,)), "beta")
        self.assertEqual(found, ["tcp port 80 is in use on beta"])

    def test_a_file_name_cannot_act_on_a_terminal(self) -> None:
        """Names are the job's choice."""
        needs = replace(NEEDS, files=(FileRequirement("/data/\x1b[2J", 1),))
        self.assertEqual(reasons(needs, OFFER, "beta"), [
            "beta has no /data/?[2J: share it between alpha and beta, "
            "or start the job with --carry /data/?[2J",
        ])  # fmt: skip


class ReadingTests(SynchronousTestCase):
    """This process looked at."""

    def test_this_process_could_live_here(self) -> None:
        """Whatever a process has is there on its own node."""
        path = Path(scratch(self))
        with path.open("w") as file:
            needs = read_needs([os.getpid()], "me")
            offer = read_offer(needs, "me", ".", "")
            told = [each for each in reasons(replace(needs, stays=()), offer, "here") if str(path) in each]
        self.assertEqual(told, [])
        mine = next(
            each for each in needs.files if each.path == file.name or each.path == str(path.absolute())
        )
        self.assertTrue(mine.written)
        self.assertIn(os.getcwd(), needs.directories)
        self.assertGreater(needs.memory, 1 << 20)
        self.assertTrue(any(each.build_id for each in needs.files))

    def test_what_keeps_it_here(self) -> None:
        """A lock, a listening socket and a connection are seen."""
        path = Path(scratch(self))
        with path.open("w") as file, socket.create_server(("127.0.0.1", 0)) as server:
            fcntl.flock(file, fcntl.LOCK_EX)
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):
                stays = read_needs([os.getpid()], "me").stays
        self.assertIn(f"somebody has connected to its port {port}", stays)
        self.assertIn(f"it has a TCP connection to 127.0.0.1:{port}", stays)
        self.assertIn(f"it holds a lock on {path.absolute()}", stays)

    def test_a_socket_of_each_kind(self) -> None:
        """Each is found in its own table of the kernel, with its reason."""
        proc = Path(scratch(self))
        for name in ("net", "fd", "fdinfo"):
            (proc / "7" / name).mkdir(parents=True)
        line = "0: 0100007F:1F90 0100007F:01BB {} 0:0 0:0 0 1000 0 {} 1\n"
        (proc / "7/net/tcp").write_text("head\n" + line.format("0A", 11) + line.format("01", 12))
        (proc / "7/net/tcp6").write_text("head\ntorn\n" + line.format("06", 13))
        idle = line.replace("0100007F:01BB", "00000000:0000")
        (proc / "7/net/udp").write_text("head\n" + idle.format("07", 14))
        (proc / "7/net/packet").write_text("head\n00000000 3 3 0003 2 1 0 0 15\n")
        for number in range(11, 17):
            (proc / "7/fd" / str(number)).symlink_to(f"socket:[{number}]")
        stay = ["it has a TCP connection to 127.0.0.1:443", "it has a packet socket open"]
        self.assertEqual(sorted(read_stays([7], proc=str(proc), criu="4.2.1")), stay)
        found = [why.partition(", which")[0] for why in read_stays([7], proc=str(proc), criu="")]
        self.assertEqual(sorted(found), [
            *stay, "it has a udp socket open", "it listens on port 8080 of this node",
        ])  # fmt: skip

    def test_what_is_all_of_a_process(self) -> None:
        """A child in a namespace of its own, and System V shared memory."""
        proc = Path(scratch(self))
        for pid, net in ((7, 1), (8, 2)):
            for name in ("net", "fd", "ns"):
                (proc / str(pid) / name).mkdir(parents=True)
            (proc / str(pid) / "ns/net").symlink_to(f"net:[{net}]")
            (proc / str(pid) / "ns/pid").symlink_to("pid:[3]")
        (proc / "8/maps").write_text(
            "7f0-7f1 rw-s 0 0:1 5   /SYSV00000000 (deleted)\n7f1-7f2 r--p 0 0:1 9 /lib/a\n"
        )
        self.assertEqual(read_stays([7], proc=str(proc)), [])
        self.assertEqual(read_stays([7, 8], proc=str(proc)), [
            "one of its processes has a network namespace of its own", "it uses System V shared memory",
        ])  # fmt: skip

    def test_a_named_pipe(self) -> None:
        """Its other end is on this node, whatever has the same name on another one."""
        path = os.path.abspath(scratch(self))
        os.mkfifo(path)
        number = os.open(path, os.O_RDWR)
        try:
            self.assertIn(f"it has the named pipe {path} open", read_needs([os.getpid()], "me").stays)
            self.assertIn("it has a named pipe open", read_stays([os.getpid()]))
        finally:
            os.close(number)

    def test_names_of_files_are_their_owners_business(self) -> None:
        """`cantmove` is for everybody: it tells that there is a lock, not on what."""
        path = Path(scratch(self))
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            stays = read_stays([os.getpid()])
        self.assertIn("it holds a lock on a file", stays)
        self.assertNotIn(str(path), " ".join(stays))

    def test_more_open_than_anybody_looks_at(self) -> None:
        """A user who opens a million files keeps their job here, and no thread busy."""
        proc = Path(scratch(self))
        for name in ("net", "fd"):
            (proc / "7" / name).mkdir(parents=True)
        for number in range(12):
            (proc / "7/fd" / str(number)).symlink_to("pipe:[1]")
            (proc / "7/fdinfo").mkdir(exist_ok=True)
            (proc / "7/fdinfo" / str(number)).touch()
        too_many = ["it has too many processes or open files"]
        self.assertEqual(read_stays([7], proc=str(proc), most=12), [])
        self.assertEqual(read_stays([7], proc=str(proc), most=11), too_many)
        self.assertEqual(read_stays([7, *range(8, MAX_PROCESSES + 7)], proc=str(proc)), [])
        self.assertEqual(read_stays([7, *range(8, MAX_PROCESSES + 8)], proc=str(proc)), too_many)

    def test_a_process_that_ended(self) -> None:
        """The caller hears that there is none."""
        self.assertRaises(OSError, read_needs, [1 << 30], "me")


class ParserTests(SynchronousTestCase):
    def test_flags_are_those_of_all_processors_that_programs_use(self) -> None:
        """A flag one processor lacks counts for none; what only the kernel uses does not count."""
        text = "processor : 0\nflags\t\t: fpu avx sse4_2 apic\nprocessor : 1\nflags\t\t: fpu sse4_2\n"
        self.assertEqual(parse_flags(text), ("sse4_2",))
        self.assertEqual(parse_flags(""), ())

    def test_the_build_id_of_a_program(self) -> None:
        """As `file` shows it; a text has none."""
        self.assertRegex(build_id(Path("/bin/sh").read_bytes()[:65536]), "^[0-9a-f]{40}$")
        self.assertEqual(build_id(b"#!/bin/sh\n" * 100), "")

    @settings(max_examples=300)
    @given(st.binary(max_size=300), st.sampled_from([1, 2]))
    def test_any_bytes_give_a_build_id_or_none(self, junk: bytes, kind: int) -> None:
        """A file that only begins like a program does no harm."""
        self.assertIsInstance(build_id(b"\x7fELF" + bytes([kind, 1]) + junk), str)
