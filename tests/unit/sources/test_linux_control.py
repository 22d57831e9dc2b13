"""Signals and niceness on real processes, within what the kernel would allow the caller."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import unittest

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gomd.interfaces import IProcessControl
from gomd.sources.control import KernelProcessControl, ProcessCredentials, parse_credentials
from libgomd.errors import Conflict, MalformedRequest, NotAllowed, NotFound, NotPossible, SourceUnavailable
from libgomd.model import Caller, Role
from tests.unit.sources.linux_proc import ADMIN, DATA, READER, STRANGER

as_root = unittest.skipUnless(os.geteuid() == 0, "only root can start processes of other users")
NOBODY = 65534


class ProcessControlTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.control = KernelProcessControl("/proc", os.getpid)
        self.owner = Caller(Role.USER, "me", os.geteuid(), "unix")

    def start(self, user: int | None = None) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(["sleep", "60"], user=user)
        self.addCleanup(self._end, child)
        return child

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        child.kill()
        child.wait()

    def test_it_provides_the_interface(self) -> None:
        """The daemon finds all it calls."""
        verifyObject(IProcessControl, self.control)

    def test_an_owner_ends_their_process(self) -> None:
        """`signal PID 15` reaches it."""
        child = self.start()
        self.control.signal(child.pid, signal.SIGTERM, self.owner)
        self.assertEqual(child.wait(10), -signal.SIGTERM)

    def test_another_process_of_that_id_is_not_meant(self) -> None:
        """With the moment of its start, only the process that started then is signalled or reniced."""
        child = self.start()
        with open(f"/proc/{child.pid}/stat", "rb") as file:
            started = int(file.read().rpartition(b")")[2].split()[19])
        for wrong in (started - 1, started + 1, 0):
            self.assertRaises(Conflict, self.control.signal, child.pid, signal.SIGKILL, self.owner, wrong)
            self.assertRaises(Conflict, self.control.renice, child.pid, 19, self.owner, wrong)
        self.assertIsNone(child.poll())
        self.control.renice(child.pid, 19, self.owner, started)
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, child.pid), 19)
        self.control.signal(child.pid, signal.SIGTERM, self.owner, started)
        self.assertEqual(child.wait(10), -signal.SIGTERM)
        self.assertRaises(NotFound, self.control.signal, child.pid, signal.SIGTERM, self.owner, started)

    def test_others_do_not(self) -> None:
        """Neither a stranger nor an anonymous reader, nor a user without an id here: it lives on."""
        child = self.start()
        for caller in (STRANGER, READER, Caller(Role.USER, "token", None, "tcp")):
            self.assertRaises(NotAllowed, self.control.signal, child.pid, signal.SIGKILL, caller)
            self.assertRaises(NotAllowed, self.control.renice, child.pid, 19, caller)
        self.assertIsNone(child.poll())
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, child.pid), os.getpriority(os.PRIO_PROCESS, 0))

    @as_root
    def test_each_user_has_their_own(self) -> None:
        """nobody may end nobody's process and not root's; root, not an admin here, not nobody's."""
        nobody = Caller(Role.USER, "nobody", NOBODY, "unix")
        theirs, ours = self.start(NOBODY), self.start()
        self.assertRaises(NotAllowed, self.control.signal, theirs.pid, signal.SIGTERM, self.owner)
        self.assertRaises(NotAllowed, self.control.signal, ours.pid, signal.SIGTERM, nobody)
        self.control.signal(theirs.pid, signal.SIGTERM, nobody)
        self.assertEqual(theirs.wait(10), -signal.SIGTERM)

    @as_root
    def test_a_user_may_only_be_nicer(self) -> None:
        """Upwards and to the same, never back, as the kernel has it without CAP_SYS_NICE; admins may."""
        nobody = Caller(Role.USER, "nobody", NOBODY, "unix")
        child = self.start(NOBODY)
        self.control.renice(child.pid, 17, nobody)
        self.control.renice(child.pid, 17, nobody)
        self.assertRaises(NotAllowed, self.control.renice, child.pid, 16, nobody)
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, child.pid), 17)
        self.control.renice(child.pid, -3, ADMIN)
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, child.pid), -3)

    @as_root
    def test_who_owns_a_setuid_program_is_by_the_kernels_ids(self) -> None:
        """Signals go by the real and saved id, niceness by the real and effective one."""
        code = "import os, sys; os.setresuid(61001, 61002, 61003); print(flush=True); sys.stdin.read()"
        child = subprocess.Popen(["python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        assert child.stdout is not None
        child.stdout.readline()
        callers = {uid: Caller(Role.USER, str(uid), uid, "unix") for uid in (61001, 61002, 61003)}
        self.control.renice(child.pid, 17, callers[61001])
        self.control.renice(child.pid, 18, callers[61002])
        self.assertRaises(NotAllowed, self.control.renice, child.pid, 19, callers[61003])
        self.control.signal(child.pid, signal.SIGCONT, callers[61001])
        self.control.signal(child.pid, signal.SIGCONT, callers[61003])
        self.assertRaises(NotAllowed, self.control.signal, child.pid, signal.SIGCONT, callers[61002])

    def test_the_system_is_for_admins(self) -> None:
        """init, kernel threads and the daemon itself are safe from users, even of the same id."""
        for pid in (1, os.getpid()):
            for uid in {0, os.geteuid()}:
                caller = Caller(Role.USER, "root", uid, "unix")
                self.assertRaises(NotAllowed, self.control.signal, pid, signal.SIGCONT, caller)
        self.control.signal(os.getpid(), signal.SIGCONT, ADMIN)

    def test_what_has_ended_is_not_found(self) -> None:
        """Also in the moment in which only its exit status is left to fetch... and pids nobody has."""
        child = self.start()
        child.kill()
        child.wait()
        for pid in (child.pid, 0, -1, 2**22 + 1, 10**15):
            self.assertRaises(NotFound, self.control.signal, pid, signal.SIGTERM, ADMIN)
            self.assertRaises(NotFound, self.control.renice, pid, 5, ADMIN)

    def test_a_thread_is_no_process(self) -> None:
        """Its number has a directory in /proc, but `ps` does not list it: 404, and nothing is signalled."""
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        try:
            assert thread.native_id is not None
            self.assertRaises(NotFound, self.control.signal, thread.native_id, signal.SIGKILL, ADMIN)
        finally:
            done.set()
            thread.join()

    def test_numbers_out_of_range(self) -> None:
        """The sentence says what the range is; nothing was sent."""
        child = self.start()
        for number in (0, -9, 65, 10**9):
            with self.assertRaises(MalformedRequest) as caught:
                self.control.signal(child.pid, number, ADMIN)
            self.assertIn("1 to 64", str(caught.exception))
        for nice in (-21, 20):
            with self.assertRaises(MalformedRequest) as caught:
                self.control.renice(child.pid, nice, ADMIN)
            self.assertIn("-20 to 19", str(caught.exception))
        self.assertIsNone(child.poll())

    def test_a_captured_tree_has_nothing_to_signal(self) -> None:
        """Its pids may be those of somebody else here."""
        control = KernelProcessControl(str(DATA), os.getpid)
        self.assertRaises(NotPossible, control.signal, 4711, signal.SIGTERM, ADMIN)
        self.assertRaises(NotPossible, control.renice, 4711, 5, ADMIN)

    def test_credentials(self) -> None:
        """Real, effective and saved id; a status without them is an error, not root."""
        data = (DATA / "4711" / "status").read_bytes()
        self.assertEqual(parse_credentials(data), ProcessCredentials(4711, 1000, 1001, 1002))
        for bad in (b"", b"Tgid:\t1\n", b"Uid:\t0\t0\t0\t0\n", data.replace(b"1001", b"x"), data[:70]):
            self.assertRaises(SourceUnavailable, parse_credentials, bad)
