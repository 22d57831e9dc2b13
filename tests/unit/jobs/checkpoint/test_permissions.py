"""A user gets nothing by a move that is not theirs: neither files of others, nor names of their sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint import free_ports, inet_sockets, permissions, process_tree
from gomd.jobs.checkpoint.action_script import DUMPED, RESTORED, RESUMING, ActionScript
from gomd.jobs.checkpoint.permissions import OpenedFile, forbidden, opened, sockets_that_stay
from gomd.jobs.checkpoint.sockets import NAMED_SOCKET, named_sockets
from libgomd.errors import CannotMove
from tests.unit.scratch import scratch


class RightsTests(SynchronousTestCase):
    """A process that has something open."""

    def setUp(self) -> None:
        self.path = Path(scratch(self))

    def start(self, descriptors: Sequence[int] = (), text: str = "") -> int:
        """Start a process that has ``descriptors`` and runs ``text``, and wait until it has run."""
        python = [sys.executable, "-c", f"{text}\nprint(1, flush=True)\ninput()"]
        process = subprocess.Popen(
            python if text else ["/bin/sh", "-c", "cd /; echo; read line"],
            pass_fds=descriptors, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.stdout.readline()
        return process.pid

    def of_file(self, pid: int) -> list[OpenedFile]:
        """What the process has of our file."""
        return [each for each in opened([pid]) if each.path.startswith(str(self.path.absolute()))]

    def test_what_is_their_own(self) -> None:
        """A process that has only what everybody may have could live here."""
        self.assertEqual(forbidden(opened([self.start()])), "")

    def test_a_file_by_a_descriptor_and_in_memory(self) -> None:
        """Both are seen, as they were opened: for reading, for writing."""
        self.path.write_text("x" * 5000)
        text = (
            f"import mmap, os; f = os.open({str(self.path)!r}, os.O_RDWR); "
            "m = mmap.mmap(f, 5000); os.closerange(3, 99)"
        )
        [mapped] = self.of_file(self.start(text=text))
        self.assertEqual(mapped.mode, os.R_OK | os.W_OK)
        number = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, number)
        [read] = self.of_file(self.start([number]))
        self.assertEqual((read.mode, read.identity), (os.R_OK, mapped.identity))
        self.assertEqual(forbidden([mapped, read]), "")

    def test_a_name_that_leads_elsewhere(self) -> None:
        """The name is there for the user, and it is another file's, or nobody's."""
        self.path.touch()
        known = self.path.stat()
        found = OpenedFile(str(self.path), (known.st_dev, known.st_ino), os.R_OK, known.st_uid, False)
        self.assertEqual(forbidden([found]), "")
        self.assertEqual(
            forbidden([found._replace(identity=(known.st_dev, known.st_ino + 1))]), str(self.path)
        )
        self.path.unlink()
        self.assertEqual(forbidden([found]), str(self.path))

    def test_a_file_that_was_removed(self) -> None:
        """It has no name to be looked at by: its owner counts. Memory without a name is nobody's."""
        mine = OpenedFile("/a (deleted)", (1, 1), os.R_OK, os.geteuid(), True)
        self.assertEqual(forbidden([mine]), "")
        self.assertEqual(forbidden([mine._replace(owner=os.geteuid() + 1)]), "/a (deleted)")
        for path in ("/memfd:a (deleted)", "/dev/zero (deleted)"):
            self.assertEqual(forbidden([mine._replace(path=path, owner=os.geteuid() + 1)]), "")

    def test_files_of_another_user(self) -> None:
        """A file that root opened for the user is not theirs."""
        if os.geteuid() != 0:
            self.skipTest("root only")
        self.path.touch(0o600)
        self.path.parent.chmod(0o755)
        number = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, number)
        pid = self.start([number])
        gate = self.gate(lambda _pid: permissions.check_opened([pid], 65534, "node 1", "/nowhere"))
        self.assertNotEqual(self.ask(gate, RESTORED), 0)
        self.assertEqual(gate.close(), f"nobody may not have {self.path.absolute()} on node 1")
        own = self.gate(lambda _pid: permissions.check_opened([pid], 65534, "node 1", str(self.path.parent)))
        self.assertEqual((self.ask(own, RESTORED), own.close()), (0, ""))

    def test_sockets_of_root(self) -> None:
        """Neither a port below those of users, nor a socket that sees what others send; others are fine."""
        if os.geteuid() != 0:
            self.skipTest("root only")
        with socket.socket() as high, socket.socket(socket.AF_UNIX) as near:
            high.bind(("127.0.0.1", 0))
            high.listen()
            permissions.check_sockets([self.start([high.fileno(), near.fileno()])], 65534, "node 1")
            self.patch(free_ports, "first_for_users", lambda: 65536)
            with self.assertRaisesRegex(CannotMove, r"nobody may not have tcp port \d+ on node 1"):
                permissions.check_sockets([self.start([high.fileno()])], 65534, "node 1")
        for family, kind in ((socket.AF_PACKET, "packet"), (socket.AF_INET, "raw")):
            with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
                pid = self.start([raw.fileno()])
                with self.assertRaisesRegex(CannotMove, f"nobody may not have a {kind} socket on node 1"):
                    permissions.check_sockets([pid], 65534, "node 1")

    def test_whose_they_are(self) -> None:
        """A process of another user, or in a group that is not theirs here."""
        if os.geteuid() != 0:
            self.skipTest("root only")
        with self.assertRaisesRegex(CannotMove, "rights of another user than nobody"):
            permissions.check_ids([self.start()], 65534, "node 1")
        permissions.check_ids(
            [self.start_as("--reuid=65534", "--regid=65534", "--clear-groups")], 65534, "node 1"
        )
        in_a_group = self.start_as("--reuid=65534", "--regid=65534", "--groups=65534,1")
        with self.assertRaisesRegex(CannotMove, "nobody is not in group 1 on node 1"):
            permissions.check_ids([in_a_group], 65534, "node 1")
        with self.assertRaisesRegex(CannotMove, "nobody is not in group 0 on node 1"):
            permissions.check_groups({0}, 65534, "node 1")
        with self.assertRaisesRegex(CannotMove, "user 1073741824 is nobody on node 1"):
            permissions.check_groups({0}, 1 << 30, "node 1")

    def test_one_that_has_ended(self) -> None:
        """Has no rights that matter: criu makes a process that nobody has waited for with root's ids."""
        if os.geteuid() != 0:
            self.skipTest("root only")
        pid = os.posix_spawn("/bin/true", ["true"], {})
        self.addCleanup(os.waitpid, pid, 0)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        permissions.check_ids([pid], 65534, "node 1")

    def start_as(self, *options: str, before: tuple[str, ...] = ()) -> int:
        """Start a process with other rights, as setpriv's ``options`` say, and wait until it has them."""
        argv = [*before, "setpriv", *options, "sh", "-c", "echo; exec cat"]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.stdout.readline()
        return process.pid

    def test_rights_of_set_id_programs(self) -> None:
        """Every process of the job has to be kept from them, but those that run nothing any more."""
        kept, free = self.start_as("--no-new-privs"), self.start()
        ended = os.posix_spawn("/bin/true", ["true"], {})
        self.addCleanup(os.waitpid, ended, 0)
        os.waitid(os.P_PID, ended, os.WEXITED | os.WNOWAIT)
        permissions.check_no_new_privileges([kept, ended], "node 1")
        with self.assertRaisesRegex(CannotMove, "set-id programs on node 1 .* start it again"):
            permissions.check_no_new_privileges([kept, free], "node 1")

    def test_capabilities(self) -> None:
        """Of any kind, whatever its ids are: nobody has them from a login."""
        if os.geteuid() != 0:
            self.skipTest("root only")
        nobody = ("--reuid=65534", "--regid=65534", "--clear-groups")
        for more in (("--inh-caps=+net_raw",), ("--inh-caps=+net_raw", "--ambient-caps=+net_raw")):
            with self.assertRaisesRegex(CannotMove, "capabilities that nobody has not on node 1"):
                permissions.check_ids([self.start_as(*nobody, *more)], 65534, "node 1")

    def test_namespaces(self) -> None:
        """A process in a namespace that its supervisor is not in has what nobody here gave it."""
        if os.geteuid() != 0:
            self.skipTest("root only")
        for option, name in (("--uts", "UTS"), ("--mount", "mount"), ("--net", "network")):
            pid = self.start_as(
                "--reuid=65534", "--regid=65534", "--clear-groups", before=("unshare", option, "--")
            )
            with self.assertRaisesRegex(CannotMove, f"another {name} namespace"):
                permissions.check_ids([pid], 65534, "node 1")

    def test_queues_and_semaphores_of_its_own(self) -> None:
        """A job has an IPC namespace that its supervisor has not; its processes have the same one."""
        if os.geteuid() != 0:
            self.skipTest("root only")
        ids = ("--reuid=65534", "--regid=65534", "--clear-groups")
        first, second = (self.start_as(*ids, before=("unshare", "--ipc", "--")) for _ in range(2))
        permissions.check_ids([first], 65534, "node 1")
        with self.assertRaisesRegex(CannotMove, "several IPC namespaces"):
            permissions.check_ids([first, second], 65534, "node 1")

    def test_sockets_with_names(self) -> None:
        """Of any kind, however odd: who brings up the process takes the name from whoever has it."""
        there = os.getcwd()
        os.chdir(self.path.parent)
        self.addCleanup(os.chdir, there)
        for name in ("socket", "\nsocket", "@socket", "\0gomd test"):
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(name)
                pid = self.start([bound.fileno()])
                self.assertEqual(sockets_that_stay([pid], 1000), NAMED_SOCKET, name)
        with socket.socket(socket.AF_UNIX) as free:
            self.assertNotIn(str(os.fstat(free.fileno()).st_ino), named_sockets("/proc/self/net"))
            self.assertEqual(sockets_that_stay([self.start([free.fileno()])], 1000), "")

    def test_what_cannot_be_read_is_not_free_to_go(self) -> None:
        """Tables and lists that cannot be read, or not to their end: nobody says that nothing is in them."""
        proc = self.path
        for name in ("net/unix", "net/tcp", "task/7/children"):
            (proc / "7" / name).mkdir(parents=True)
        self.assertRaises(OSError, named_sockets, f"{proc}/7/net")
        (proc / "7/net/unix").rmdir()
        self.assertEqual(named_sockets(f"{proc}/7/net"), set())
        self.assertRaises(OSError, inet_sockets.read, f"{proc}/7/net")
        self.assertRaises(CannotMove, process_tree.descendants, 7, proc=str(proc))
        self.assertEqual(process_tree.descendants(7, whole=False, proc=str(proc)), [7])
        (proc / "7/task/7/children").rmdir()
        (proc / "7/task/7/children").write_text("8 " * (1 << 19))
        self.assertRaises(CannotMove, process_tree.descendants, 7, proc=str(proc))
        (proc / "7/task/7/children").write_text("8 9 ")
        self.assertEqual(process_tree.descendants(7, proc=str(proc)), [7, 8, 9])

    def test_files_that_are_under_way(self) -> None:
        """A file that was sent and not received is in no process: nobody can look at it."""
        here, there = socket.socketpair()
        with here, there:
            socket.send_fds(here, [b"x"], [0])
            pid = self.start([here.fileno(), there.fileno()])
            self.assertIn("nobody has received yet", sockets_that_stay([pid], 1000))
            self.assertRaises(CannotMove, opened, [pid])

    def test_a_process_that_ended(self) -> None:
        """Nothing is allowed that was not looked at."""
        self.assertRaises(CannotMove, opened, [1 << 30])
        self.assertRaises(CannotMove, sockets_that_stay, [1 << 30], 1000)

    # -- the gate

    def gate(self, allows: object, moment: str = RESTORED) -> ActionScript:
        return ActionScript(str(self.path.parent), {moment: allows})  # type: ignore[dict-item]

    def ask(self, gate: ActionScript, moment: str, pid: int = 300) -> int:
        """Do what criu does at ``moment``; return what the script returned."""
        [_option, script] = gate.words()
        environment = {**gate.environment(), "CRTOOLS_SCRIPT_ACTION": moment, "CRTOOLS_INIT_PID": str(pid)}
        return subprocess.run([script], env=environment, timeout=10).returncode

    def test_the_gate_says_yes(self) -> None:
        """At its own moment, and at no other one it is asked; afterwards nothing of it is left."""

        def allows(pid: int) -> None:
            if pid != 300:
                raise CannotMove(f"asked for {pid}")

        gate = self.gate(allows)
        self.assertEqual(self.ask(gate, DUMPED), 0)
        self.assertEqual(self.ask(gate, RESTORED), 0)
        self.assertEqual(gate.close(), "")
        self.assertEqual(os.listdir(self.path.parent), [])

    def test_the_gate_says_no(self) -> None:
        """With its reason; a failure is a no."""

        def refuses(_pid: int) -> None:
            raise CannotMove("it is not his")

        def breaks(_pid: int) -> None:
            raise ZeroDivisionError("a bug")

        for allows, reason in ((refuses, "it is not his"), (breaks, "ZeroDivisionError: a bug")):
            gate = self.gate(allows, DUMPED)
            self.assertNotEqual(self.ask(gate, DUMPED), 0)
            self.assertEqual(gate.close(), reason)

    def test_nobody_asks(self) -> None:
        """criu failed before: there is no reason of ours. One that says it is done must have asked."""
        self.assertEqual(self.gate(lambda _pid: None).close(), "")
        self.assertIn("did not ask", self.gate(lambda _pid: None).close(done=True))

    def test_two_moments(self) -> None:
        """Each is asked about once and in order; the second look has its rights still."""
        if os.geteuid() != 0:
            self.skipTest("root only")
        seen = os.path.join(self.path.parent, "seen")
        allows = {
            RESTORED: lambda _pid: os.setresuid(65534, 65534, 65534),
            RESUMING: lambda _pid: os.mkdir(seen),
        }
        gate = ActionScript(str(self.path.parent), allows)
        self.assertEqual([self.ask(gate, moment) for moment in (DUMPED, RESTORED, RESUMING)], [0, 0, 0])
        self.assertEqual(gate.close(done=True), "")
        self.assertTrue(os.path.isdir(seen))
        gate = ActionScript(str(self.path.parent), allows)
        self.assertNotEqual(self.ask(gate, RESUMING), 0)
        self.assertIn("out of turn", gate.close(done=True))

    def test_a_copy_that_is_refused_when_it_could_run_is_killed(self) -> None:
        """criu would let it go on whatever the script says."""

        def refuses(_pid: int) -> None:
            raise CannotMove("it has capabilities")

        pid = self.start()
        gate = ActionScript(str(self.path.parent), {RESUMING: refuses})
        self.assertNotEqual(self.ask(gate, RESUMING, pid), 0)
        self.assertEqual(gate.close(done=True), "it has capabilities")
        self.assertEqual(os.waitpid(pid, 0)[1], 9)
