"""What a job may carry along, and what happens without root: one sentence, or the files themselves."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.lifecycle.carried_files import CarriedFiles, CarryLimits
from gomd.jobs.lifecycle.carried_transfer import CannotCarry
from gomd.jobs.lifecycle.carry_server import CarryServer
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.request import Account, JobRequest, parse
from libgomd.errors import MalformedRequest, TimedOut
from libgomd.jobspec import MAX_CARRIED, carried_paths, job_spec
from libgomd.model import Caller, Job, JobState, Role
from libgomd.wire import job_messages
from libgomd.wire.carry_messages import MERGE, REMOVE, CarryOutcome, CarrySpec
from tests.unit.jobs.memory_parts import AtOnce
from tests.unit.scratch import scratch

ME = Caller(Role.USER, "me", 1000, "unix")
ACCOUNT = Account(1000, 1000, (), "me")


class CarriedPathTests(SynchronousTestCase):
    """The paths in a request."""

    def test_paths_that_can_be_carried(self) -> None:
        """Each once, and none that lies in another one."""
        self.assertEqual(carried_paths(["/b/x", "/a", "/a/in", "/ab", "/b/x"]), ("/a", "/ab", "/b/x"))
        self.assertEqual(carried_paths(["/tmp/x", "/run/x", "/dev-mine"]), ("/dev-mine", "/run/x", "/tmp/x"))

    def test_paths_that_cannot(self) -> None:
        """Relative ones, those that are not plain, and what belongs to the kernel or everybody."""
        bad: tuple[Any, ...] = (
            "x", "", "/", "//x", "/a/", "/a/../b", "/a/./b", "/a//b", "/proc/1/mem", "/dev/shm/x",
            "/sys", "/tmp", "/run", "/a\0b", 7, None, "/" + "x" * 5000,
        )  # fmt: skip
        for path in bad:
            with self.assertRaises(MalformedRequest, msg=repr(path)):
                carried_paths([path])
        with self.assertRaises(MalformedRequest):
            carried_paths([f"/a{number}" for number in range(MAX_CARRIED + 1)])

    def test_the_request_of_a_client(self) -> None:
        """It names what this process means, without links, and the daemon reads the same from it."""
        place = os.path.realpath(scratch(self))
        os.makedirs(f"{place}/real")
        os.symlink("real", f"{place}/link")
        spec = job_spec(["true"], carry=[f"{place}/link/out", f"{place}/real/in"])
        self.assertEqual(spec.carry, (f"{place}/real/in", f"{place}/real/out"))
        self.assertEqual(parse(spec.values()).carry, spec.carry)
        self.assertEqual(parse(parse(spec.values()).values()).carry, spec.carry)
        others: tuple[Any, ...] = ("/x", [7], {}, ["x"])
        for carry in others:
            with self.assertRaises(MalformedRequest):
                parse({**spec.values(), "carry": carry})


class WithoutRootTests(SynchronousTestCase):
    """A daemon whose jobs have no namespaces."""

    def setUp(self) -> None:
        supervisors: Any = SimpleNamespace(namespaces=False, spool=scratch(self), where="node 1 alpha")
        supervisors.directory = lambda name: os.path.join(supervisors.spool, name)
        members: Any = SimpleNamespace(own_id=1)
        nothing: Any = None
        self.carried = CarriedFiles(
            Clock(), members, nothing, AtOnce(), supervisors, CarryLimits(), own_uid=1000
        )
        self.request = JobRequest(("true",), {}, "/", 0o22, carry=("/home/me/x",))

    def take(self, node: int) -> Deferred[JobRequest]:
        """Begin a job on a node."""
        there: Any = SimpleNamespace(id=node, name="it")
        return Deferred.fromCoroutine(self.carried.take("1-7", self.request, ACCOUNT, there, ME))

    def test_at_home_the_job_has_the_files_themselves(self) -> None:
        """It cannot leave, so nothing is copied."""
        self.assertEqual(self.successResultOf(self.take(1)).carry, ())
        self.assertFalse(self.carried.has("1-7"))
        self.assertEqual(self.carried.lost("1-7"), "")

    def test_on_another_node_it_is_refused(self) -> None:
        """In a sentence that says what to do; no other node is tried."""
        failure = self.failureResultOf(self.take(2), CannotCarry)
        self.assertIn("leave --carry out", str(failure.value))

    def test_files_wait_outside_until_there_is_a_process_for_them(self) -> None:
        """A name server may take a minute; another node could fill the memory meanwhile."""
        account: Deferred[Account] = Deferred()
        threads: Any = SimpleNamespace(run_apart=lambda *_arguments: account)
        nothing: Any = None
        members: Any = SimpleNamespace(own_id=1)
        carried = CarriedFiles(Clock(), members, nothing, threads, nothing_runs(), CarryLimits(), own_uid=0)
        transport, stream = StringTransport(), FrameStream()
        stream.makeConnection(transport)
        CarryServer(carried.steps, nothing_runs(), 1, {}).serve("2-7", "put", ME, stream)
        self.assertEqual(transport.producerState, "paused")
        account.errback(TimedOut("the name server hangs"))
        self.assertIn(b"the name server hangs", transport.value())
        self.assertTrue(transport.disconnecting)


def nothing_runs() -> Any:
    """Return supervisors of which none is started."""
    return SimpleNamespace(namespaces=True, spool="/nowhere", where="node 1 alpha")


class BringHomeTests(SynchronousTestCase):
    """The files of a job of root's that has ended here, which several ask for at once."""

    def setUp(self) -> None:
        self.spool = scratch(self)
        os.makedirs(f"{self.spool}/1-7.carry")
        with open(f"{self.spool}/1-7.carry/base", "w", encoding="ascii"):
            pass
        self.begun: list[tuple[str, FrameStream]] = []
        supervisors: Any = SimpleNamespace(
            namespaces=True, spool=self.spool, where="node 1 alpha", is_ready=True, carry=self.carry,
            directory=lambda name: os.path.join(self.spool, name),
            read=lambda _name, _file: {"paths": ["/x"]},
        )  # fmt: skip
        members: Any = SimpleNamespace(own_id=1)
        nothing: Any = None
        self.carried = CarriedFiles(
            Clock(), members, nothing, AtOnce(), supervisors, CarryLimits(), own_uid=os.getuid()
        )
        self.carried.load()

    def carry(self, spec: CarrySpec) -> FrameStream:
        """Begin a step, as the supervisors do."""
        stream = FrameStream()
        stream.makeConnection(StringTransport())
        self.begun.append((spec.step, stream))
        return stream

    def bring(self) -> Deferred[str]:
        """Ask for the files."""
        job = Job(7, 1, 1, 300, "root", JobState.DONE, 0, "true", os.getuid(), 1.0)
        return Deferred.fromCoroutine(self.carried.bring_home(job, 1))

    def end(self, outcome: CarryOutcome) -> None:
        """End the step that is under way."""
        self.begun[-1][1].dataReceived(job_messages.encode(outcome))

    def test_one_after_the_other(self) -> None:
        """Nothing is merged while something is, or is being removed; once home there is nothing to do."""
        first, second = self.bring(), self.bring()
        self.assertEqual([step for step, _stream in self.begun], [MERGE])
        self.end(CarryOutcome("the disk is full"))
        self.assertIn("the disk is full", self.successResultOf(first))
        self.assertEqual([step for step, _stream in self.begun], [MERGE, MERGE])
        third = self.bring()
        self.end(CarryOutcome())
        self.assertEqual([step for step, _stream in self.begun], [MERGE, MERGE, REMOVE])
        self.assertNoResult(second)
        self.end(CarryOutcome())
        self.assertEqual((self.successResultOf(second), self.successResultOf(third)), ("", ""))
        self.assertEqual(len(self.begun), 3)

    def test_nothing_is_swept_meanwhile(self) -> None:
        """However old the files are."""
        brought = self.bring()
        self.successResultOf(Deferred.fromCoroutine(self.carried.sweep(lambda _name: True, 1e12)))
        self.assertEqual([step for step, _stream in self.begun], [MERGE])
        self.end(CarryOutcome("the disk is full"))
        self.successResultOf(brought)
        Deferred.fromCoroutine(self.carried.sweep(lambda _name: True, 1e12))
        self.assertEqual([step for step, _stream in self.begun], [MERGE, REMOVE])
