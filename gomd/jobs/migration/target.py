"""The target's side of a migration: what is done here with a job that comes from another node."""

from __future__ import annotations

import pwd
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore

from gomd.interfaces import UNTRUSTED
from gomd.jobs.checkpoint.criu import Images, TlsFiles, speaks_tls
from gomd.jobs.checkpoint.requirements import Requirements, reasons
from gomd.jobs.lifecycle.control import SupervisorControl
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.tracker import GONE
from gomd.jobs.migration.context import FILES_LIMIT, LOOK_LIMIT, MigrationContext
from gomd.jobs.migration.messages import NEEDS, MigrationId, MigrationMessage, decode_needs
from gomd.jobs.migration.protocol import Act, Local, MessageKind, State, TargetState
from libgomd.errors import CannotMove, GomdError
from libgomd.model import JobState, Status, is_system_user
from libgomd.private import make_private_directory
from libgomd.wire import frames
from libgomd.wire.frames import Frame, MalformedFrame

#: Seconds the page server waits for criu to connect, and for the memory.
CONNECT_LIMIT = 120.0
PAGES_LIMIT = 880.0
#: Seconds criu may take to bring the job up.
RESTORE_LIMIT = 620.0
#: Signals that may have come while it was stopped.
_MOST_SIGNALS = 1000
_LOOPBACK = "127.0.0.1"


async def why_not(ground: MigrationContext, needs: Requirements, job: MigrationId, source: int) -> list[str]:
    """Return why a job cannot come here, a clause for each reason; empty when it can."""
    own = ground.members.find(str(ground.own_id))
    name = ground.name_of(ground.own_id)
    if is_system_user(needs.uid) and not ground.machine.system_users():
        return [f"{name} takes no processes of {needs.user or needs.uid} from other nodes ({UNTRUSTED})"]
    if job.home == ground.own_id:
        known = ground.table.get(job.job)
        if known is None or known.state is not JobState.RUNNING or job.name not in ground.keeper.held:
            return [f"{name}, its home, knows it no more"]
    elif own.status & Status.BLOCK:
        return [f"{name} takes no guests"]
    elif job.name in ground.keeper.held:
        return [f"{name} has a job of that name"]
    elif full := ground.room(needs.uid):
        return [f"{name}: {full}"]
    machine = ground.machine
    if machine.own_uid != 0:
        return [f"gomd on {name} does not run as root"]
    why = await ground.ability.why_not()
    room = await ground.threads.run(LOOK_LIMIT, _room, machine.directory)
    user = await ground.threads.run_apart(LOOK_LIMIT, ("user", needs.uid), "names", _user, needs.uid)
    offer = await ground.looks.do(LOOK_LIMIT, job.name, machine.offer, needs, user, room, why)
    return reasons(needs, replace(offer, no_limit=ground.here.no_limit), name)


def _room(directory: str) -> str:
    make_private_directory(directory)
    return directory


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


class MigrationTarget:
    """
    The `gomd.jobs.migration.driver.Hands` of the target.

    :param source: id of the node it comes from. :param turns: how many may come at a time.
    :ivar tell: is told what happens by itself; to be set before anything is done.
    """

    def __init__(
        self, ground: MigrationContext, migration: str, source: int, turns: DeferredSemaphore
    ) -> None:
        self.migration = migration
        self.job = MigrationId.parse(migration)
        self.other = source
        self.tell: Callable[[Local, str], None] = lambda _event, _reason: None
        self._ground = ground
        self._turns = turns
        self._has_turn = False
        self._needs: Requirements | None = None
        self._lock = False
        self._pid_at_home: int | None = None
        self._files: dict[str, bytes] = {}
        self._listening: socket.socket | None = None
        self._port = 0
        self._accepted: socket.socket | None = None
        self._pages: Deferred[None] | None = None
        self._has_pages = False
        self._stream: FrameStream | None = None
        self._orders: SupervisorControl | None = None
        self._told: dict[str, Any] = {}
        self._handed_over = False
        self._passed_on = False
        self._cancelled = False

    # -- Hands

    async def act(self, act: Act) -> None:
        """See `Hands.act`."""
        if act is Act.PREPARE:
            await self._prepare()
        elif act is Act.RESTORE:
            await self._restore()
        elif act is Act.THAW:
            await self._thaw()
        elif act is Act.CLEAR:
            await self._clear()

    async def write(self, state: State, reason: str) -> None:
        """See `Hands.write`."""
        await self._ground.write(self.migration, state, self.job.name, self.other, reason)
        if state is TargetState.HOLDING:
            self._let_turn_go()

    def send(self, message: MessageKind, reason: str) -> None:
        """See `Hands.send`."""
        more: dict[str, Any] = {}
        if message is MessageKind.READY:
            more = {"port": self._port}
        letter = MigrationMessage(self.migration, message.word, self._ground.own_id, reason, more)
        self._ground.post.send(self.other, letter, ours=False)

    def heard(self, letter: MigrationMessage) -> None:
        """Take what is in a letter of the source. :raises MalformedFrame: it is not what it should be."""
        if letter.message is MessageKind.OFFER:
            self._needs = decode_needs(letter.files.get(NEEDS, b""))
            self._lock = letter.more.get("lock") is True
            pid = letter.more.get("pid")
            self._pid_at_home = pid if type(pid) is int and 0 < pid < 2**31 else None
        elif letter.message is MessageKind.IMAGES:
            self._files = dict(letter.files)
        elif letter.message is MessageKind.SETTLED:
            self._pass_on(letter.more.get("signals", []))

    # -- what is done

    async def _prepare(self) -> None:
        ground, machine = self._ground, self._ground.machine
        await self._turns.acquire()
        self._has_turn = True
        if self._needs is None:
            raise CannotMove("it does not come")
        self._check_wanted()
        if why := await why_not(ground, self._needs, self.job, self.other):
            raise CannotMove("; ".join(why))
        tls = await ground.threads.run(FILES_LIMIT, machine.tls)
        self._check_wanted()
        directory = await ground.make_directory(self.migration, "target")
        if self._cancelled:
            await ground.remove_directory(self.migration, "target")
        self._check_wanted()
        try:
            self._listening = machine.listen(machine.address)
            self._port = self._listening.getsockname()[1]
        except OSError as error:
            raise CannotMove(f"no page server at {machine.address}: {error.strerror}") from error
        sources = {ground.address_of(self.other)}
        if machine.address.startswith("127."):
            sources.add(_LOOPBACK)
        serving = ground.threads.run(PAGES_LIMIT + 20.0, self._take_pages, directory, tls, sources)

        async def serve() -> None:
            await serving

            self._has_pages = True

        self._pages = Deferred.fromCoroutine(serve())
        self._pages.addErrback(self._pages_failed)

    def _check_wanted(self) -> None:
        """Begin nothing that `_clear` would not see. :raises CannotMove: it was called off meanwhile."""
        if self._cancelled:
            self._let_turn_go()
            raise CannotMove("it does not come")

    def _take_pages(self, directory: str, tls: TlsFiles, sources: set[str]) -> None:
        """Be the page server. Blocks, on a thread."""
        machine, listening = self._ground.machine, self._listening
        assert listening is not None
        with listening:
            accepted = machine.accept(listening, sources, CONNECT_LIMIT, speaks_tls)
        with accepted:
            self._accepted = accepted
            try:
                if self._cancelled:  # just before it was accepted, and could be shut down
                    raise CannotMove("it does not come")
                machine.criu.page_server(accepted, directory, tls, PAGES_LIMIT)
            finally:
                self._accepted = None

    def _pages_failed(self, failure: Any) -> Any:
        if not self._cancelled:
            why = str(failure.value) if failure.check(GomdError, OSError) else repr(failure.value)
            self.tell(Local.FAILED, f"{self._ground.name_of(self._ground.own_id)}: {why}")
        return None

    async def _restore(self) -> None:
        ground = self._ground
        if self._pages is None:
            raise CannotMove("its memory did not come")
        await self._pages
        if not self._has_pages:
            raise CannotMove("its memory did not come whole")
        directory = ground.directory(self.migration, "target")
        files, self._files = self._files, {}
        await ground.threads.run(FILES_LIMIT, Images(files).write, directory)
        detach = await self._keep_output()
        self._check_wanted()
        stream = ground.here.bring_up(
            self.job.name, directory, ground.machine.criu.program,
            detach=detach, lock=self._lock, nmigs=self.job.times, pid_at_home=self._pid_at_home,
            uid=None if self._needs is None else self._needs.uid,
        )  # fmt: skip
        await self._adopt(stream, RESTORE_LIMIT)

    async def _keep_output(self) -> bool:
        """
        Let the new supervisor write the files of a detached job that comes home.

        :returns: whether it is one.
        """
        held = self._ground.keeper.held.get(self.job.name)
        if held is None or held.number is None:
            return False
        held.arriving = True
        job = self._ground.table.get(held.number)
        if held.sink is not None:
            sink, held.sink = held.sink, None
            held.relay.drop_client()
            await sink.closed()
        return job is not None and job.detached

    async def _adopt(self, stream: FrameStream, limit: float) -> None:
        """Wait until the supervisor at ``stream`` has told of its job."""
        clock = self._ground.clock
        begun: Deferred[dict[str, Any]] = Deferred()
        orders = SupervisorControl(clock, stream.send, lambda: not stream.gone)

        def take(frame: Frame) -> None:
            if frame.kind == frames.STARTED and not begun.called:
                begun.callback(frames.decode_json(frame.payload))
            elif frame.kind == frames.FAILED and not begun.called:
                begun.errback(CannotMove(str(frames.decode_json(frame.payload).get("text", "it failed"))))
            elif frame.kind == frames.MOVED:
                orders.answered(frames.decode_json(frame.payload))

        def lost() -> None:
            orders.lost()
            if not begun.called:
                begun.errback(CannotMove("its supervisor ended without a word"))
            else:
                self.tell(Local.FAILED, "the stopped copy is gone")

        self._stream, self._orders = stream, orders
        stream.on_lost = lost
        stream.on_frame = take
        late = clock.callLater(limit, stream.abort)
        try:
            self._told = await begun
        finally:
            if late.active():
                late.cancel()

    async def find(self) -> bool:
        """
        After a restart of the daemon: look for the copy here.

        :returns: whether there is one.
        :raises GomdError: that cannot be told now: it must not be taken for "no". :raises OSError: likewise.
        """
        held = self._ground.keeper.held.get(self.job.name)
        if held is not None and held.node == self._ground.own_id:
            return False  # another one of that name
        try:
            stream = self._ground.here.find(self.job.name)
            await self._adopt(stream, LOOK_LIMIT)
        except (GomdError, OSError) as error:
            self._stream = self._orders = None
            if isinstance(error, OSError) and error.errno in GONE:
                return False
            raise
        if self._told.get("images") != self._ground.directory(self.migration, "target"):
            stream.close()
            self._stream, self._orders, self._told = None, None, {}
            return False
        return True

    async def _thaw(self) -> None:
        """Let it run, and hand it over to those who look after jobs."""
        self._let_turn_go()
        if self._handed_over or self._stream is None or self._orders is None:
            return
        if self._stream.gone:
            self._ground.keeper.soon(self._ground.remove_directory(self.migration, "target"))
            return
        await self._orders.do("thaw")
        self._handed_over = True
        self._stream.forget()
        self._ground.whereabouts.arrived(self.job.name, self._stream, self._told, self.job.times)
        self._ground.keeper.soon(self._ground.remove_directory(self.migration, "target"))

    def _pass_on(self, signals: Any) -> None:
        """Send the signals that came at the source while it was stopped."""
        held = self._ground.keeper.held.get(self.job.name)
        if not isinstance(signals, list) or held is None or self._passed_on:
            return
        self._passed_on = True  # the source says `settled` each time it hears `running`
        for each in signals[:_MOST_SIGNALS]:
            try:
                number, group = each
                frame = frames.encode_signal(int(number), bool(group))
                frames.decode_signal(frame[-2:])
            except (ValueError, TypeError, OverflowError, MalformedFrame):
                raise MalformedFrame("no signal that came while it was stopped") from None
            held.relay.to_job(frame)

    async def _clear(self) -> None:
        ground = self._ground
        self._cancelled = True
        self._let_turn_go()
        for each in (self._listening, self._accepted):
            if each is not None:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        if self._listening is not None:
            self._listening.close()
        stream = self._stream
        if stream is not None and not stream.gone:
            if self._told and self._orders is not None:
                with suppress(CannotMove):
                    await self._orders.do("end")
                stream.close()
            else:
                stream.abort()  # it is being brought up: its supervisor sees that and leaves
        self._stream = None
        self._told = {}
        await ground.remove_directory(self.migration, "target")
        held = ground.keeper.held.get(self.job.name)
        if held is not None and held.arriving:
            held.arriving = False
            ground.keeper.sink_if_detached(held)
            if held.relay.job is None:
                ground.keeper.look_for(held)

    def _let_turn_go(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turns.release()
