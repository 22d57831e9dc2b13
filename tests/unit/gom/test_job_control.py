"""Ctrl-C, Ctrl-Z and the other signals, with a job's end and a terminal that only take notes."""

from __future__ import annotations

import signal

import pytest

from gom.interrupts import ANSWER_TIMEOUT, REPEAT_TIMEOUT, InterruptCounter, Press
from gom.job_control import KILL_TIMEOUT, JobControl
from libgomd.wire import frames
from libgomd.wire.attachment import CallerEnd


class Left(Exception):
    """The program has exited with a signal's number; whether the job was told before."""


class FakeTerminal:
    """A terminal that takes notes."""

    def __init__(self) -> None:
        self.is_screen = False
        self.signals: list[int] = []
        self.said: list[str] = []
        self.suspended: list[bool] = []

    def take_signals(self) -> list[int]:
        taken, self.signals = self.signals, []
        return taken

    def look(self) -> bool:
        return True

    def size(self) -> tuple[int, int]:
        return 50, 100

    def suspend(self, whole_group: bool) -> None:
        self.suspended.append(whole_group)

    def say(self, sentences: str) -> None:
        self.said.append(sentences)


class Scene:
    """A job with its number, attached to, and its caller."""

    def __init__(self, stop: int | None = 0, job: int = 7) -> None:
        self.end = CallerEnd(stops=True)
        self.terminal = FakeTerminal()
        self.time = 100.0
        self.control = JobControl(self.end, self.terminal, self._leave, lambda: None, lambda: self.time)
        self.control.job = job
        self.attach(stop)

    def _leave(self, number: int, hangs_up: bool) -> None:
        raise Left(number, hangs_up)

    def attach(self, stop: int | None) -> None:
        """The job's end answers an ATTACH."""
        self.end.attach()
        self.end.data_to_send()
        told = {"stdout": 0, "stderr": 0, "stdin": 0, "stdin_taken": 0}
        more = {} if stop is None else {"stopped": stop}
        [frame] = frames.FrameParser().feed(frames.encode_json(frames.ATTACHED, {**told, **more}))
        self.end.receive(frame)
        self.control.on_attached(stop)

    def sent(self, *signals: int) -> list[int | tuple[int, int]]:
        """Let these signals arrive; return the signals and window sizes that go out then."""
        self.terminal.signals += signals
        self.control.handle_signals()
        self.control.follow_stops()
        found: list[int | tuple[int, int]] = []
        for kind, payload in frames.FrameParser().feed(self.end.data_to_send()):
            if kind == frames.SIGNAL:
                found.append(frames.decode_signal(payload)[0])
            elif kind == frames.WINSIZE:
                found.append(frames.decode_winsize(payload))
        return found


@pytest.mark.parametrize(
    ("times", "presses"),
    [
        ([0.0], [Press.FORWARD]),
        ([0.0, REPEAT_TIMEOUT + 0.1, 2.5], [Press.FORWARD] * 3),
        ([0.0, 0.5, 1.0, 1.5], [Press.FORWARD, Press.ASK, Press.END, Press.LEAVE]),
        ([0.0, 0.5, 9.0, 60.0], [Press.FORWARD, Press.ASK, Press.END, Press.LEAVE]),
        ([0.0, 0.5, 0.6 + ANSWER_TIMEOUT], [Press.FORWARD, Press.ASK, Press.FORWARD]),
    ],
)
def test_how_often_ctrl_c_was_pressed(times: list[float], presses: list[Press]) -> None:
    """A second one within a second asks, the next one ends the job, one more leaves."""
    clock = iter(times)
    counter = InterruptCounter(lambda: next(clock))
    assert [counter.press() for _ in times] == presses


def test_a_job_that_does_not_end_at_ctrl_c() -> None:
    """It gets each; the second asks, the third kills, and when nothing comes of that we leave."""
    scene = Scene()
    assert scene.sent(signal.SIGINT) == [2]
    assert scene.sent(signal.SIGINT) == [2]
    assert scene.terminal.said == ["gom: job 7 still runs; press Ctrl-C once more to kill it"]
    assert scene.sent(signal.SIGINT) == [9, 9]
    assert scene.control.seconds_left() == KILL_TIMEOUT
    scene.time += KILL_TIMEOUT
    with pytest.raises(Left) as left:
        scene.sent()
    assert left.value.args == (signal.SIGKILL, False)
    assert "see `gom jobs`" in scene.terminal.said[-1]


def test_ctrl_c_with_a_job_terminal_asks_nothing() -> None:
    """There it is typed, not sent; a SIGINT that somebody sends is the job's."""
    scene = Scene()
    scene.terminal.is_screen = True
    assert scene.sent(signal.SIGINT, signal.SIGINT, signal.SIGINT) == [2, 2, 2]
    assert scene.terminal.said == []


def test_ctrl_z_stops_the_job_first() -> None:
    """This program follows when the job's end says that it has stopped; then both go on."""
    scene = Scene()
    assert scene.sent(signal.SIGTSTP) == [signal.SIGTSTP]
    assert scene.sent() == []
    assert scene.terminal.suspended == []
    scene.attach(1)
    assert scene.sent() == [signal.SIGCONT]
    assert scene.terminal.suspended == [False]
    scene.attach(0)
    assert scene.sent() == []


def test_a_job_that_ignores_ctrl_z() -> None:
    """Nothing stops, as in a shell; each Ctrl-Z asks again."""
    scene = Scene()
    assert scene.sent(signal.SIGTSTP) == scene.sent(signal.SIGTSTP) == [signal.SIGTSTP]
    assert scene.terminal.suspended == []


def test_a_job_that_was_stopped_already() -> None:
    """Somebody stopped it with `gom kill JOB STOP`: we go on, but Ctrl-Z stops us at once."""
    scene = Scene()
    scene.attach(3)
    assert scene.sent() == []
    assert scene.sent(signal.SIGTSTP) == [signal.SIGCONT]
    assert scene.terminal.suspended == [False]


def test_a_job_that_stops_on_its_own_terminal() -> None:
    """Ctrl-Z was typed there: we stop with our whole process group, and tell our size when we are back."""
    scene = Scene()
    scene.terminal.is_screen = True
    scene.attach(1)
    assert scene.sent() == [(50, 100), signal.SIGCONT]
    assert scene.terminal.suspended == [True]


def test_a_connection_that_is_lost_with_the_order_to_go_on() -> None:
    """It is given again, and we do not stop a second time."""
    scene = Scene()
    scene.terminal.is_screen = True
    scene.attach(1)
    scene.sent()
    scene.attach(1)
    assert scene.sent() == [(50, 100), signal.SIGCONT]  # the size is told again with each attachment
    assert len(scene.terminal.suspended) == 1
    scene.attach(2)
    scene.sent()
    assert len(scene.terminal.suspended) == 2


def test_a_daemon_of_before_that_does_not_tell_of_stops() -> None:
    """The job is stopped for sure, and we with it."""
    scene = Scene(stop=None)
    assert scene.sent(signal.SIGTSTP) == [signal.SIGSTOP, signal.SIGCONT]
    assert scene.terminal.suspended == [False]


def test_ctrl_z_before_the_job_is_attached() -> None:
    """It waits for that."""
    scene = Scene()
    scene.end.connection_replaced()
    assert scene.sent(signal.SIGTSTP) == []
    scene.attach(0)
    assert scene.sent() == [signal.SIGTSTP]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP])
def test_while_the_daemon_is_away_signals_end_us(number: signal.Signals) -> None:
    """Nobody else can do anything about them; Ctrl-Z stops us."""
    scene = Scene()
    scene.terminal.signals = [signal.SIGUSR1, signal.SIGTSTP, number]
    with pytest.raises(Left) as left:
        scene.control.handle_signals_offline()
    assert left.value.args == (number, False)
    assert scene.terminal.suspended == [False]


def test_before_the_job_has_begun_signals_end_us() -> None:
    """The daemon gives it up when we are gone."""
    with pytest.raises(Left) as left:
        Scene(job=0).sent(signal.SIGTERM)
    assert left.value.args == (signal.SIGTERM, False)


@pytest.mark.parametrize(("alone", "hangs_up"), [(False, True), (True, False)])
def test_a_closed_terminal(alone: bool, hangs_up: bool) -> None:
    """The job is told to end, unless it goes on without us."""
    scene = Scene()
    scene.control.stays_alone = alone
    with pytest.raises(Left) as left:
        scene.sent(signal.SIGHUP)
    assert left.value.args == (signal.SIGHUP, hangs_up)


def test_ctrl_c_and_ctrl_z_leave_a_detached_job_alone() -> None:
    """Only this program stops, or ends."""
    scene = Scene()
    scene.control.stays_alone = True
    assert scene.sent(signal.SIGTSTP) == []
    assert scene.terminal.suspended == [False]
    with pytest.raises(Left) as left:
        scene.sent(signal.SIGINT)
    assert left.value.args == (signal.SIGINT, False)
