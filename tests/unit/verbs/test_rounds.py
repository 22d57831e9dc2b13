"""Equal watches share their rounds; no viewer sees what only another may, and none holds up another."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.memory import MemorySource
from gomd.verbs.replies import File, Reply, Rows, TextColumn, ValueReply
from gomd.verbs.rounds import VIEWERS_PER_TURN, Round, Watcher, Watches
from libgomd.errors import NotFound
from libgomd.model import Caller, Role
from libgomd.testing import MemoryDaemon
from libgomd.wire.lines import Request
from libgomd.wire.values import loads
from tests.unit.protocols.talk import Talk, a_process, crowded

ANONYMOUS = Caller(Role.READ, "", None, "tcp 192.0.2.7:40000")
ADA = Caller(Role.USER, "ada", 1000, "unix")
BOB = Caller(Role.USER, "bob", 1001, "unix")
LOAD = Request("load")


class Viewer:
    """Somebody who looks on. ``seen``: the texts shown up to now; ``error``: what ended it."""

    def __init__(self, rounds: AsyncGenerator[Round, None]) -> None:
        self.seen: list[str] = []
        self.error: BaseException | None = None
        self.ended = False
        self.takes = True
        self._room: Deferred[None] | None = None
        self._watching = Deferred.fromCoroutine(self._watch(rounds))

    async def _watch(self, rounds: AsyncGenerator[Round, None]) -> None:
        try:
            async for shown in rounds:
                self.seen += [line for piece in shown.pieces(1) for line in piece]
                if not self.takes:
                    self._room = Deferred()
                    await self._room
        except NotFound as error:
            self.error = error
        finally:
            self.ended = True
            await rounds.aclose()

    def read_on(self) -> None:
        """Take what comes again."""
        self.takes, room, self._room = True, self._room, None
        assert room is not None
        room.callback(None)

    def leave(self) -> None:
        """Go away."""
        self._watching.addErrback(lambda _failure: None)
        self._watching.cancel()


class SharingTests(SynchronousTestCase):
    """Watches of one verb that says how often it was asked."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.watches = Watches()
        self.asked: list[Caller] = []
        self.error: Exception | None = None

    def ask(self, session: Any) -> Reply:
        self.asked.append(session.caller)
        if self.error is not None:
            raise self.error
        return ValueReply(str(len(self.asked)))

    def join(
        self, caller: Caller = ANONYMOUS, period: float = 1.0, count: int | None = None, json: bool = False,
        what: Any = LOAD,
    ) -> Viewer:  # fmt: skip
        session = Watcher(caller, json)
        viewer = Viewer(self.watches.join(self.clock, session, what, period, count, self.ask))
        self.addCleanup(viewer.leave)
        self.clock.advance(0)
        return viewer

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.05] * round(seconds * 20))

    def test_each_round_is_asked_for_once(self) -> None:
        """However many look on; all of them see it."""
        viewers = [self.join() for _ in range(3 * VIEWERS_PER_TURN)]
        self.pass_time(3.05)
        self.assertEqual(len(self.asked), 4)
        self.assertEqual({tuple(viewer.seen) for viewer in viewers}, {("1", "2", "3", "4")})

    def test_only_equal_ones_share(self) -> None:
        """Other words, another period, format, role or user: a watch of its own."""
        others = [
            {}, {"what": Request("speed")}, {"period": 2.0}, {"json": True}, {"caller": ADA}, {"caller": BOB},
            {"caller": Caller(Role.ADMIN, "ada", 1000, "unix")},
            {"caller": Caller(Role.READ, "guest", None, "tcp")}, {"what": None}, {"what": None},
        ]  # fmt: skip
        for number, other in enumerate(others, 1):
            self.join(**other)  # type: ignore[arg-type]
            self.assertEqual(len(self.asked), number)
        self.join(Caller(Role.READ, "", None, "tcp 198.51.100.1:1"))
        self.assertEqual(len(self.asked), len(others))

    def test_each_has_its_own_count(self) -> None:
        """Who has seen enough goes, the others stay."""
        one, two, many = self.join(count=1), self.join(count=2), self.join()
        self.pass_time(3.05)
        self.assertEqual([viewer.ended for viewer in (one, two, many)], [True, True, False])
        self.assertEqual([len(viewer.seen) for viewer in (one, two, many)], [1, 2, 4])

    def test_when_all_are_gone_nothing_is_asked(self) -> None:
        """And nothing is left on the clock; who comes then begins anew."""
        for viewer in [self.join(), self.join()]:
            viewer.leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.pass_time(5.0)
        self.assertEqual(len(self.asked), 1)
        self.assertEqual(self.join().seen, ["2"])

    def test_who_comes_later_is_shown_something_at_once(self) -> None:
        """The newest round while it is fresh, else one of its own; no round follows that one too soon."""
        first = self.join(period=10.0)
        self.pass_time(0.5)
        soon = self.join(period=10.0)
        self.pass_time(8.5)
        late = self.join(period=10.0)
        self.assertEqual([viewer.seen for viewer in (first, soon, late)], [["1"], ["1"], ["2"]])
        self.pass_time(1.1)
        self.assertEqual([viewer.seen for viewer in (first, soon, late)], [["1", "3"], ["1", "3"], ["2"]])
        self.pass_time(10.0)
        self.assertEqual([len(viewer.seen) for viewer in (first, soon, late)], [3, 3, 2])

    def test_a_slow_one_holds_up_nobody(self) -> None:
        """It misses rounds, and goes on with the newest."""
        fast, slow = self.join(), self.join()
        slow.takes = False
        self.pass_time(5.05)
        self.assertEqual((len(fast.seen), len(slow.seen)), (6, 2))
        slow.read_on()
        self.clock.advance(0)
        self.assertEqual((slow.seen[-1], fast.seen[-1]), ("6", "6"))
        self.pass_time(2.0)
        self.assertEqual(len(self.asked), 8)

    def test_nothing_is_asked_while_all_are_slow(self) -> None:
        """When one reads on it is asked at once."""
        slow = self.join()
        slow.takes = False
        self.pass_time(9.0)
        self.assertEqual(len(self.asked), 2)
        slow.read_on()
        self.clock.advance(0)
        self.assertEqual(slow.seen[-1], "3")

    def test_an_error_is_told_to_all(self) -> None:
        """Also to who is slow; the first answer's mistakes are the answer to the watch."""
        fast, slow = self.join(), self.join()
        slow.takes = False
        self.pass_time(1.05)
        self.error = NotFound("it has ended")
        self.pass_time(1.0)
        slow.read_on()
        self.assertEqual((str(fast.error), str(slow.error)), ("it has ended", "it has ended"))
        with self.assertRaises(NotFound):
            self.join()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_first_viewers_session_may_change(self) -> None:
        """The others go on as they began."""
        session = Watcher(ADA, False)
        first = Viewer(self.watches.join(self.clock, session, LOAD, 1.0, None, self.ask))
        self.addCleanup(first.leave)
        second = self.join(ADA)
        first.leave()
        session.caller, session.json = BOB, True
        self.pass_time(1.05)
        self.assertEqual((second.seen, self.asked), (["1", "2"], [ADA, ADA]))


class LinesTests(SynchronousTestCase):
    """What the viewers are sent."""

    def test_the_lines_are_those_of_the_verb(self) -> None:
        """In text and in json, for tables of any size; also of a round that is not the newest any more."""
        for size in (0, 1, 19, 20, 21, 40, 41, 205):
            talk = Talk(crowded(size) if size else MemoryDaemon(MemorySource([50], [[]])))
            for mode in ("text", "json"):
                talk.say(f"format {mode}")
                plain = talk.say("ps").splitlines()[1:]
                watched = talk.say("watch -c 1 ps").splitlines()[1:]
                if mode == "json":
                    self.assertEqual({loads(line)["rows"] for line in watched[:-1]}, {size})
                    numbered = [{**loads(line), "round": 1, "rows": size} for line in plain[:-1]]
                    numbered = numbered or [{"round": 1, "rows": 0}]
                    self.assertEqual([loads(line) for line in watched[:-1]], numbered)
                else:
                    self.assertEqual(watched, plain)

    def test_rounds_are_counted_for_each_viewer(self) -> None:
        """The second viewer's first round is its first, whatever it is for the others."""
        daemon = crowded(2)
        first, second = Talk(daemon, Role.READ, "", None), Talk(daemon, Role.READ, "", None)
        first.say("format json", "watch -n 1 ps")
        daemon.advance(3.0)
        first.heard()
        second.say("format json", "watch -n 1 ps")
        daemon.advance(1.0)
        numbers = [
            [loads(line)["round"] for line in talk.heard().splitlines() if line.startswith("{")]
            for talk in (first, second)
        ]
        self.assertEqual((numbers[0][0], numbers[1][0]), (5, 2))

    def test_a_round_makes_its_lines_once(self) -> None:
        """As long as it is the newest; older ones keep none."""
        made: list[int] = []

        def cell(row: int) -> str:
            made.append(row)
            return str(row)

        shown = Round(Rows("", list(range(50)), (TextColumn("N", 3, cell),)), False, 0.0)
        lines = [line for piece in shown.pieces(1) for line in piece]
        self.assertEqual([line for piece in shown.pieces(2) for line in piece], ["", *lines])
        self.assertEqual(len(made), 50)
        shown.retire()
        self.assertEqual([line for piece in shown.pieces(1) for line in piece], lines)

    def test_a_file_and_a_value(self) -> None:
        """One row in json, their lines in text."""
        file = File("/proc/stat", [str(number) for number in range(41)])
        self.assertEqual(
            [line for piece in Round(file, False, 0.0).pieces(1) for line in piece], list(file.lines)
        )
        [[line]] = Round(file, True, 0.0).pieces(3)
        self.assertEqual(
            loads(line), {"path": "/proc/stat", "text": "\n".join(file.lines), "round": 3, "rows": 1}
        )
        [[line]] = Round(ValueReply("x", {"a": 1}), True, 0.0).pieces(2)
        self.assertEqual(loads(line), {"value": {"a": 1}, "round": 2, "rows": 1})

    def test_rates_are_for_the_owner(self) -> None:
        """Two users watch the same table; each sees its own rates and not the other's."""
        table = [
            a_process(1, uid=1000, user="ada", read_rate=1.0, write_rate=1.0),
            a_process(2, uid=1001, user="bob", read_rate=2.0, write_rate=2.0),
        ]
        daemon = MemoryDaemon(MemorySource([50], [table]))
        for uid, user, seen in ((1000, "ada", [1.0, None]), (1001, "bob", [None, 2.0])):
            talk = Talk(daemon, Role.USER, user, uid)
            heard = talk.say("format json", "watch -n 1 ps")
            rows = [loads(line) for line in heard.splitlines() if line.startswith("{")]
            self.assertEqual([row["read_rate"] for row in rows], seen)


class PeriodTests(SynchronousTestCase):
    """How often each role may be shown a round."""

    def test_a_shorter_period_becomes_the_least(self) -> None:
        """And the status line says so."""
        for role, least in ((Role.READ, "1"), (Role.USER, "0.5"), (Role.ADMIN, "0.1")):
            talk = Talk(MemoryDaemon(), role, "ada", 1000)
            wanted = f"watching load every {least} s" + (
                f", as often as {role.word} may" if least != "0.1" else ""
            )
            self.assertEqual(
                talk.say("watch -n 0.1 load").splitlines()[0], f"201 {wanted}: send a line to stop"
            )
            self.assertEqual(
                talk.say("watch -n 7 load").splitlines()[-2].split()[2:6], ["load", "every", "7", "s:"]
            )
