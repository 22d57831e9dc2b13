"""The migrations of this node, to and from it, by criu: begun, heard, settled, taken up after a restart."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import UNTRUSTED, IMigrator
from gomd.jobs.checkpoint.requirements import Requirements
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.migration.channels import DAEMON, VERB
from gomd.jobs.migration.context import DISK_LIMIT, FILES_LIMIT, LOOK_LIMIT, MigrationContext
from gomd.jobs.migration.driver import MigrationDriver
from gomd.jobs.migration.journal import Record
from gomd.jobs.migration.messages import (
    LOOK,
    MAX_NEEDS,
    MAX_REASONS,
    NEEDS,
    SEEN,
    MessageReader,
    MigrationId,
    MigrationMessage,
    decode_needs,
    encode_needs,
    one_line,
)
from gomd.jobs.migration.obstacles import Obstacles
from gomd.jobs.migration.protocol import (
    Local,
    MessageKind,
    MigrationSide,
    SourceState,
    State,
    TargetState,
    answer_unknown,
)
from gomd.jobs.migration.source import MigrationSource
from gomd.jobs.migration.target import MigrationTarget, why_not
from libgomd.errors import (
    CannotMove,
    Conflict,
    GomdError,
    NotAllowed,
    NotFound,
    PeerUnreachable,
    TimedOut,
)
from libgomd.model import Counter
from libgomd.wire.frames import MOVED, Frame, MalformedFrame
from libgomd.wire.job_messages import END, PlainOrder, encode
from libgomd.wire.job_name import JobName
from libgomd.wire.lines import Request

#: Jobs that leave, and that come, at the same time; others wait for their turn.
LEAVING, COMING = 4, 8
#: Migrations that may be under way at a time, those too that wait for their turn.
MOST = 1000
#: Moves of which the signals are kept that came meanwhile: the letter that told them may have been lost.
MOST_LATE = 200
#: Seconds until a caller is told that it is not known yet where his process runs.
PATIENCE = 590.0
#: Seconds in which the last letter about a job that has come is awaited before it may leave again.
SETTLE_LIMIT = 30.0
#: Seconds until it is looked again for a job of a migration that could not be asked.
AGAIN = 1.0
#: Seconds for another node to look at what a process needs.
LOOK_PATIENCE = 40.0
_NOT_STARTED_HERE = "it was not started by gomd; what `run` starts can be moved"


@implementer(IMigrator)
class Migrations:
    """
    `IMigrator` by criu. `load` before jobs are looked for, `start` behind that.

    :param ground: what it stands on. Its post brings the letters to `heard`, `cut` and `connected`.
    :param most: migrations that may be under way; more are not taken.
    """

    kind = "criu"
    _log: ClassVar[Logger] = Logger()

    def __init__(self, ground: MigrationContext, most: int = MOST) -> None:
        self._ground = ground
        self._most = most
        self._obstacles = Obstacles(ground)
        self._moves: dict[tuple[str, str], MigrationDriver] = {}
        self._hands: dict[tuple[str, str], MigrationSource | MigrationTarget] = {}
        self._records: list[Record] = []
        self._left: list[str] = []
        #: Of the journal, what is not taken up yet: nothing is answered about it.
        self._unread: set[tuple[str, str]] = set()
        self._stopped = False
        #: Jobs that somebody has asked to move and waits for.
        self._asked: set[str] = set()
        #: Signals that came while a job was stopped which has left, for a target that has not heard them.
        self._late: dict[str, list[Any]] = {}
        self._leaving = DeferredSemaphore(LEAVING)
        self._coming = DeferredSemaphore(COMING)
        self._moved_out = self._moved_in = self._stayed = 0

    # -- the daemon's start and end

    def load(self) -> tuple[frozenset[str], frozenset[str]]:
        """
        Read the journal; return the names of the jobs that were leaving and coming. Blocks briefly.

        They must not be taken for lost before they are settled, nor those that come for guests.
        """
        log, directory = self._ground.log, self._ground.machine.directory
        self._records = log.load()
        self._unread = {(record.migration, record.side) for record in self._records} | log.damaged
        self._stopped = False
        known = {f"{migration}.{side}" for migration, side in self._unread}
        try:
            left = set(os.listdir(directory)) - known
        except OSError:
            left = set()
        self._left = [os.path.join(directory, name) for name in sorted(left)]
        leaving = frozenset(record.job for record in self._records if record.side == "source")
        coming = {record.job for record in self._records if record.side == "target"}
        coming |= {job for migration, side in log.damaged if side == "target" and (job := _job_of(migration))}
        there = {record.job for record in self._records if record.state is TargetState.SETTLED}
        for name in coming - there - leaving:
            self._ground.whereabouts.expect(name, True)
        return leaving, frozenset(coming - there - leaving)

    def start(self) -> None:
        """Take up what a daemon before this one has begun."""
        self._ground.post.open()
        self._obstacles.start()
        if self._left:
            self._ground.keeper.soon(self._clear(self._left))
        records, self._records = self._records, []
        for record in records:
            try:
                job = MigrationId.parse(record.migration)
            except MalformedFrame:
                self._log.error("a record of a migration that cannot be: {name}", name=record.migration)
                continue
            self._ground.keeper.soon(self._take_up(record, job))

    async def _clear(self, left: Sequence[str]) -> None:
        """Remove what migrations have left behind that nobody knows: there may be gigabytes of memory."""
        for path in left:
            if not self._stopped:
                await self._ground.threads.run(FILES_LIMIT, shutil.rmtree, path, True)

    async def _take_up(self, record: Record, job: MigrationId) -> None:
        said = ""
        while True:
            try:
                hands, copy, back = await self._look_for(record, job)
                break
            except (GomdError, OSError) as error:  # it must not be taken for gone: it could run twice
                if str(error) != said:
                    said = str(error)
                    self._log.warn(
                        "migration {migration}: whether its job is here cannot be told now: {error}",
                        migration=record.migration, error=error,
                    )  # fmt: skip
            await deferLater(self._ground.clock, AGAIN)
            if self._stopped:
                return
        if self._stopped:
            return
        if record.state is SourceState.MOVED and not copy and not back:
            self._end_leftover(job.name)
        self._go_on(record, job, hands, copy, back)

    async def _look_for(
        self, record: Record, job: MigrationId
    ) -> tuple[MigrationSource | MigrationTarget, bool, bool]:
        """
        Return what does a side of a migration, whether its job is here, and whether that has come back since.

        :raises GomdError: that cannot be told now. :raises OSError: likewise.
        """
        held = self._ground.keeper.jobs.get(job.name)
        if held is not None and held.supervisor_silent:
            raise PeerUnreachable("its supervisor cannot be reached")
        if record.side != "source":
            arrival = MigrationTarget(self._ground, record.migration, record.other, self._coming)
            return arrival, await arrival.find(), False
        copy = held is not None and held.node == self._ground.own_id and held.connected
        back = False
        if record.state is SourceState.MOVED:
            running = self._ground.here.read_running(job.name)
            back = running is not None and running.nmigs >= job.times  # it has come back here since
            copy = copy and not back
        return MigrationSource(self._ground, record.migration, record.other), copy, back

    def _go_on(
        self,
        record: Record,
        job: MigrationId,
        hands: MigrationSource | MigrationTarget,
        copy: bool,
        back: bool,
    ) -> None:
        held = self._ground.keeper.jobs.get(job.name)
        try:
            migration, steps = MigrationSide.recover(record.state, copy)
        except KeyError:
            self._log.error("{record} cannot be with copy {copy}", record=record, copy=copy)
            self._ground.whereabouts.expect(job.name, False)
            if held is not None:
                held.stop_leaving()
                held.stop_arriving()
            return
        self._log.info(
            "migration {migration} goes on: it was {state}, {copy}", migration=record.migration,
            state=record.state.word, copy="with a copy here" if copy else "without a copy here",
        )  # fmt: skip
        if record.state is SourceState.MOVED and isinstance(hands, MigrationSource) and not back:
            hands.note_moved()
        move = MigrationDriver(migration, [], hands, self._ground.clock)
        self._begin(hands, move, record.side)
        self._unread.discard((record.migration, record.side))
        move.do(steps)

    def _end_leftover(self, name: str) -> None:
        """End the stopped process of a job that moved: the daemon ended between noting that and doing it."""
        try:
            stream = self._ground.here.connect(name)
        except OSError:
            return
        stream.send(encode(PlainOrder(END)))
        stream.listen(lambda frame: stream.close() if frame.kind == MOVED else None)

    def stop(self) -> None:
        """The daemon ends: the next one takes up what is under way; nothing is answered until then."""
        self._stopped = True
        for move in self._moves.values():
            move.close()
        self._moves.clear()
        self._hands.clear()
        self._obstacles.stop()
        self._ground.post.close()

    # -- IMigrator

    def cannot(self) -> str:
        """See `IMigrator.cannot`."""
        return self._ground.ability.known

    async def reasons(self, pid: int, node: int) -> Sequence[str]:
        """See `IMigrator.reasons`."""
        held = self._find(pid)
        needs = await self._needs_of(held)
        stays = self._stays(held) + list(needs.stays)
        if why := await self._ground.ability.why_not():
            stays.append(why)
        target = node or MigrationId.parse(self._new_id(held)).home
        if target == self._ground.own_id:
            return stays
        return list(dict.fromkeys(stays + await self._look(held, target, needs)))

    async def migrate(self, pid: int, node: int) -> None:
        """See `IMigrator.migrate`."""
        held = self._find(pid)
        target = node or JobName.parse(held.name).home
        if target == self._ground.own_id:
            return
        if held.name in self._asked:  # it waits for its turn: who asks again and again gets no other one
            raise Conflict(f"job {held.name} is being moved already: wait until it has arrived")
        self._asked.add(held.name)
        try:
            await self._go(held, target)
        finally:
            self._asked.discard(held.name)

    async def _go(self, held: TrackedJob, target: int) -> None:
        await self._arrived(held.name)
        self._check_free(held.name)
        if why := self._stays(held):
            raise CannotMove("; ".join(why))
        if not self._ground.members.find(str(target)).up:
            raise PeerUnreachable(f"{self._ground.name_of(target)} is down")
        await self._leaving.acquire()
        try:
            state, reason = await self._leave(held, target)
        finally:
            self._leaving.release()
        if state is not SourceState.MOVED:
            refusal = NotAllowed if UNTRUSTED in reason else CannotMove
            raise refusal(reason or "the other node did not take it")

    async def _leave(self, held: TrackedJob, target: int) -> tuple[State, str]:
        ground = self._ground
        if ground.keeper.jobs.get(held.name) is not held:
            raise NotFound(f"job {held.name} is here no more")
        if why := await ground.ability.why_not():
            raise CannotMove(why)
        needs = await self._needs_of(held)
        if needs.stays:
            raise CannotMove("; ".join(needs.stays))
        await ground.post.connect(ground.members.find(str(target)))
        self._check_free(held.name)
        if ground.keeper.jobs.get(held.name) is not held or held.exit is not None:
            raise NotFound(f"job {held.name} has ended")
        hands = MigrationSource(ground, self._new_id(held), target, _encoded(needs))
        migration, steps = MigrationSide.offer()
        settled: Deferred[State] = Deferred()
        move = MigrationDriver(migration, [], hands, ground.clock)
        began = ground.clock.seconds()
        self._begin(hands, move, "source", settled)
        move.do(steps)
        late = ground.clock.callLater(PATIENCE, settled.cancel)
        try:
            state = await settled
        except Exception as error:
            if not late.active():
                raise TimedOut(
                    f"it is not known yet where job {held.name} runs: this is settled when "
                    f"{ground.name_of(target)} is heard again"
                ) from error
            raise
        finally:
            if late.active():
                late.cancel()
        self._log.info(
            "job {job} to {node}: {state}{reason}, {seconds} s", job=held.name, node=ground.name_of(target),
            state=state.word, reason=f" ({move.reason})" if move.reason else "",
            seconds=round(ground.clock.seconds() - began, 2),
        )  # fmt: skip
        return state, move.reason

    def join(self, node: int, stream: Any) -> None:
        """See `IMigrator.join`."""
        self._ground.post.join(stream, node)

    def counters(self) -> Iterable[Counter]:
        """See `IMigrator.counters`."""
        yield Counter("migrations_out", self._moved_out, "jobs that moved from here to other nodes")
        yield Counter("migrations_in", self._moved_in, "jobs that moved here from other nodes")
        yield Counter("migrations_failed", self._stayed, "migrations after which the job stayed where it was")
        yield Counter("migrations_now", len(self._moves), "migrations that are not settled yet")

    # -- what is here, and what it needs

    def _find(self, pid: int) -> TrackedJob:
        own = self._ground.own_id
        for held in self._ground.keeper.jobs.values():
            if (
                held.node == own
                and held.running is not None
                and held.running.pid == pid
                and held.exit is None
            ):
                return held
        raise NotFound(f"process {pid} is not the first one of a job here: {_NOT_STARTED_HERE}")

    def _stays(self, held: TrackedJob) -> list[str]:
        """Why it can leave for nowhere, as far as its supervisor knows."""
        running = held.running
        if running is None:
            return []
        return (["it has a terminal"] if running.tty else []) + (
            [running.cantmove] if running.cantmove else []
        )

    async def _arrived(self, name: str) -> None:
        """Wait while a job that has just come runs here, and only the last word about that is missing."""
        end = self._ground.clock.seconds() + SETTLE_LIMIT
        while self._is_arriving(name) and self._ground.clock.seconds() < end:
            await deferLater(self._ground.clock, 0.02)

    def _is_arriving(self, name: str) -> bool:
        return any(
            isinstance(hands, MigrationTarget) and hands.job.name == name for hands in self._hands.values()
        )

    def _check_free(self, name: str) -> None:
        if self.under_way(name):
            raise Conflict(f"job {name} is being moved already: wait until it has arrived")

    def under_way(self, name: str) -> bool:
        """Whether a migration of that job is not settled here."""
        return any(hands.job.name == name for hands in self._hands.values())

    def _new_id(self, held: TrackedJob) -> str:
        job = None if held.number is None else self._ground.table.get(held.number)
        nmigs = job.nmigs if job is not None else (0 if held.running is None else held.running.nmigs)
        return f"{held.name}-{nmigs + 1}-{secrets.token_hex(4)}"

    async def _needs_of(self, held: TrackedJob) -> Requirements:
        running = held.running
        if running is None:
            raise NotFound(f"job {held.name} is here no more")
        pid, supervisor, user = running.pid, running.supervisor, running.user
        try:
            needs = await self._ground.looks.do(
                LOOK_LIMIT, held.name, self._ground.machine.look, pid, supervisor, user
            )
            return replace(needs, memory_max=running.memory_max)
        except OSError as error:
            raise NotFound(f"job {held.name} has ended") from error

    async def _look(self, held: TrackedJob, target: int, needs: Requirements) -> list[str]:
        """Ask another node why a job could not come there."""
        ground = self._ground
        node = ground.members.find(str(target))
        stream: FrameStream = await ground.post.open_other(node, Request(VERB), DAEMON)
        answer: Deferred[MigrationMessage] = Deferred()
        reader = MessageReader()

        def take(frame: Frame) -> None:
            for letter in reader.feed(frame):
                if letter.word == SEEN and letter.migration == question.migration and not answer.called:
                    answer.callback(letter)

        def lost() -> None:
            if not answer.called:
                answer.errback(PeerUnreachable(f"{ground.name_of(target)} ended the stream"))

        question = MigrationMessage(self._new_id(held), LOOK, ground.own_id, files={NEEDS: _encoded(needs)})
        stream.listen(take, lost)
        late = ground.clock.callLater(LOOK_PATIENCE, stream.abort)
        try:
            ground.post.write(stream, question)
            found = (await answer).more.get("reasons", [])
        finally:
            if late.active():
                late.cancel()
            stream.close()
        return [one_line(str(each)) for each in found[:MAX_REASONS]] if isinstance(found, list) else []

    # -- what comes by letter

    def heard(self, letter: MigrationMessage, answer: Callable[[MigrationMessage], None]) -> None:
        """
        Take a letter.

        What the journal knows and this daemon does not, yet or any more, is not unknown: a wrong answer
        could let the process run twice, and everything that matters is said again.

        :raises MalformedFrame: it is not what it should be.
        """
        if self._stopped:
            return
        if letter.word == LOOK:
            self._ground.keeper.soon(self._answer_look(letter, answer))
            return
        message = letter.message
        if message is None:
            return
        key = (letter.migration, _side_of(message))
        if key in self._unread:
            return
        hands = self._hands.get(key)
        if hands is None:
            told, reason = answer_unknown(message), "nothing is known of it here"
            if message is MessageKind.OFFER:
                reason = self._accept(letter)
                told = MessageKind.REFUSED if reason else None
            if told is not None:
                late = self._late.get(letter.migration) if told is MessageKind.SETTLED else None
                more = {"signals": late} if late else {}
                answer(MigrationMessage(letter.migration, told.word, self._ground.own_id, reason, more))
            return
        if hands.other != letter.origin:
            raise MalformedFrame(f"node {letter.origin} has no part in migration {letter.migration}")
        if message is MessageKind.OFFER:
            self._moves[key].tell(message, letter.reason)
            return
        hands.heard(letter)
        self._moves[key].tell(message, letter.reason)

    def _accept(self, letter: MigrationMessage) -> str:
        """Begin at the target; why it cannot even begin, empty when it has."""
        hands = MigrationTarget(self._ground, letter.migration, letter.origin, self._coming)
        hands.heard(letter)
        if self.under_way(hands.job.name):
            return "it is being moved there already"
        if len(self._moves) >= self._most:
            return f"{self._most} migrations are under way there already: try later"
        migration, steps = MigrationSide.accept()
        move = MigrationDriver(migration, [], hands, self._ground.clock)
        hands.tell = move.tell
        self._begin(hands, move, "target")
        move.do(steps)
        return ""

    async def _answer_look(
        self, letter: MigrationMessage, answer: Callable[[MigrationMessage], None]
    ) -> None:
        try:
            needs = decode_needs(letter.files.get(NEEDS, b""))
            job = MigrationId.parse(letter.migration)
            found = await why_not(self._ground, needs, job, letter.origin)
        except (GomdError, OSError) as error:
            found = [str(error)]
        more = {"reasons": [one_line(each) for each in found[:MAX_REASONS]]}
        answer(MigrationMessage(letter.migration, SEEN, self._ground.own_id, more=more))

    def cut(self, node: int, ours: bool) -> None:
        """The last stream to a node broke that was opened here for what leaves, or there for what comes."""
        for key, hands in tuple(self._hands.items()):
            if hands.other == node and isinstance(hands, MigrationSource) == ours:
                self._moves[key].tell(Local.CUT, f"the connection to {self._ground.name_of(node)} broke")

    def node_down(self, node: int) -> None:
        """A node went down: its streams may not tell."""
        self._ground.post.abort(node)

    def connected(self, node: int) -> None:
        """There is a stream to a node again."""
        for key, hands in tuple(self._hands.items()):
            if hands.other == node:
                self._moves[key].tell(Local.CONNECTED)

    # -- what is under way

    def _begin(
        self,
        hands: MigrationSource | MigrationTarget,
        move: MigrationDriver,
        side: str,
        told: Deferred[State] | None = None,
    ) -> None:
        key = (hands.migration, side)
        self._hands[key], self._moves[key] = hands, move
        if isinstance(hands, MigrationTarget):
            hands.tell = move.tell
        held = self._ground.keeper.jobs.get(hands.job.name)
        if held is not None and isinstance(hands, MigrationSource):
            held.leave(
                lambda: move.tell(
                    Local.FAILED,
                    "its supervisor ended without a word" if held.exit is None else "it has ended",
                )
            )

        def settled(state: State) -> None:
            self._ground.keeper.soon(self._settle(hands, move, side, state, told))

        move.settled.addCallback(settled)

    async def _settle(
        self,
        hands: MigrationSource | MigrationTarget,
        move: MigrationDriver,
        side: str,
        state: State,
        told: Deferred[State] | None,
    ) -> None:
        """Both sides know: tell who waits, and forget it."""
        ground, name = self._ground, hands.job.name
        self._hands.pop((hands.migration, side), None)
        self._moves.pop((hands.migration, side), None)
        self._moved_out += state is SourceState.MOVED
        self._moved_in += state is TargetState.SETTLED
        self._stayed += state in (SourceState.STAYED, TargetState.REFUSED)
        ground.whereabouts.expect(name, False)
        if isinstance(hands, MigrationSource):
            if state is SourceState.MOVED and hands.signals:
                self._late[hands.migration] = hands.signals
                if len(self._late) > MOST_LATE:
                    del self._late[next(iter(self._late))]
            self._look_after(name, state, hands)
            ground.clock.callLater(1.0, self._hang_up, hands.other)
        elif (held := ground.keeper.jobs.get(name)) is not None:
            held.stop_arriving()
            if state is TargetState.SETTLED and held.number is not None and held.node != ground.own_id:
                ground.keeper.lose(held, "this machine went down when it had just come home")
        if told is not None and not told.called:
            told.callback(state)
        record = Record(hands.migration, state, name, hands.other, move.reason, ground.wall())
        if state is SourceState.MOVED:
            if hands.job.home not in (ground.own_id, hands.other):
                await ground.whereabouts.tell_home(name, hands.other, hands.job.times)
            ground.whereabouts.forget(name, hands.other)
        await ground.remove_directory(hands.migration, side)
        await ground.table.written()  # what this record says stands in the table
        await ground.threads.run(DISK_LIMIT, ground.log.forget, record)

    def _hang_up(self, node: int) -> None:
        leaving = (hands for hands in self._hands.values() if isinstance(hands, MigrationSource))
        if not any(hands.other == node for hands in leaving):
            self._ground.post.drop(node)

    def _look_after(self, name: str, state: State, hands: MigrationSource) -> None:
        """A job that was to leave: if it stays it is looked after as before."""
        held = self._ground.keeper.jobs.get(name)
        if held is None:
            return
        held.stop_leaving()
        if state is SourceState.LOST:
            if held.number is not None:
                self._ground.keeper.lose(held, "this machine went down while it was being moved")
            else:  # its home finds out when it asks
                self._ground.keeper.release(held)
                self._ground.here.remove(name)
        elif state is SourceState.MOVED:
            if not hands.left and not held.connected and not held.seeking_node:
                self._ground.whereabouts.left(name, hands.other)
        elif not held.connected:
            if held.exit is None:
                self._ground.keeper.find_again(held)
            else:  # it ended, and that was noted, while it was to leave
                self._ground.keeper.release(held)


def _job_of(migration: str) -> str:
    """Return the job that an id of a migration is of, empty when it is none."""
    try:
        return MigrationId.parse(migration).name
    except MalformedFrame:
        return ""


def _side_of(message: MessageKind) -> str:
    """Return which side hears this message."""
    at_target = (
        MessageKind.OFFER,
        MessageKind.IMAGES,
        MessageKind.GO,
        MessageKind.SETTLED,
        MessageKind.ABORT,
        MessageKind.ASK,
    )
    return "target" if message in at_target else "source"


def _encoded(needs: Requirements) -> bytes:
    data = encode_needs(needs)
    if len(data) > MAX_NEEDS:
        raise CannotMove("it has too many files open for another node to look at")
    return data
