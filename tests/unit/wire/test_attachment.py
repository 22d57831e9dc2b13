"""A job's three streams between a caller and a supervisor, over connections that break in mid-frame."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from libgomd.errors import NotFound
from libgomd.wire import frames
from libgomd.wire.attachment import Attached, CallerEnd, Data, Exited, InputTaken, Started
from libgomd.wire.frames import Frame, FrameParser, MalformedFrame
from libgomd.wire.job_end import JobEnd

WINDOW = 60


def sent_by(caller: CallerEnd) -> list[Frame]:
    """Return the frames that a caller's end has to send."""
    return list(FrameParser().feed(caller.data_to_send()))


def attached_pair() -> tuple[CallerEnd, JobEnd]:
    """Return both ends, attached."""
    caller, job = CallerEnd(), JobEnd()
    caller.attach()
    [asked] = sent_by(caller)
    for frame in FrameParser().feed(job.attach(frames.decode_attach(asked.payload))):
        caller.receive(frame)
    assert caller.attached
    return caller, job


def test_input_waits_for_the_answer_to_the_newest_attach() -> None:
    """What a job's end answers to an older question begins nothing."""
    caller = CallerEnd()
    caller.attach()
    caller.attach()
    assert caller.input_room() == 0
    first, second = sent_by(caller)
    job = JobEnd()
    for frame in FrameParser().feed(job.attach(frames.decode_attach(first.payload))):
        assert caller.receive(frame) is None
    assert not caller.attached
    answered, _acknowledged = FrameParser().feed(job.attach(frames.decode_attach(second.payload)))
    assert caller.receive(answered) == Attached({frames.STDOUT: 0, frames.STDERR: 0})
    assert caller.input_room() > 0


def test_an_answer_to_the_caller_before_begins_nothing() -> None:
    """Who follows another caller at once may hear what that one asked for: each has numbers of its own."""
    job = JobEnd()
    job.outputs[frames.STDOUT].append(b"once")
    before, caller = CallerEnd(serial=1000), CallerEnd(serial=77)
    got = b""
    for asking in (before, caller):
        asking.attach()
    answers = [job.attach(frames.decode_attach(sent_by(end)[0].payload)) + b"".join(job.output_to_send(100))
               for end in (before, caller)]  # fmt: skip
    for frame in FrameParser().feed(b"".join(answers)):
        event = caller.receive(frame)
        got += event.data if isinstance(event, Data) else b""
    assert got == b"once"


def test_input_goes_on_behind_what_another_caller_has_sent() -> None:
    """Whoever takes up a job whose caller was lost sends from there on, a whole window if need be."""
    job = JobEnd()
    job.stdin.receive(500)
    job.stdin.pass_on(500)
    caller = CallerEnd(window=WINDOW)
    caller.attach()
    for frame in FrameParser().feed(job.attach(frames.decode_attach(sent_by(caller)[0].payload))):
        caller.receive(frame)
    sent = 0
    while sent < 3 * WINDOW:
        caller.send_input(b"x" * caller.input_room())
        [frame] = sent_by(caller)
        job.stdin.receive(len(frame.payload))
        job.stdin.pass_on_all()
        sent += len(frame.payload)
        for frame in FrameParser().feed(job.input_acknowledgement()):
            caller.receive(frame)
    assert job.stdin.received == 500 + sent


def test_a_slow_reader_that_attaches_again_is_sent_a_window() -> None:
    """The job's end does not know what the caller still holds: that is no mistake of the job's end."""
    job = JobEnd(window=WINDOW)
    caller = CallerEnd(window=WINDOW)
    for _ in range(2):
        caller.attach()
        for frame in FrameParser().feed(job.attach(frames.decode_attach(sent_by(caller)[0].payload))):
            caller.receive(frame)
        job.outputs[frames.STDOUT].append(b"x" * WINDOW)
        for frame in FrameParser().feed(b"".join(job.output_to_send(1000))):
            caller.receive(frame)
    assert caller.outputs[frames.STDOUT].received == 2 * WINDOW
    caller.passed_on(frames.STDOUT, 2 * WINDOW)
    [told] = sent_by(caller)
    assert frames.decode_ack(told.payload) == (frames.STDOUT, 2 * WINDOW)


def test_output_of_an_older_attachment_is_ignored() -> None:
    """It comes again behind the answer; taking it twice would double it."""
    caller, job = attached_pair()
    job.outputs[frames.STDOUT].append(b"once")
    data = b"".join(job.output_to_send(100))
    caller.attach()
    [frame] = FrameParser().feed(data)
    assert caller.receive(frame) is None
    [asked] = sent_by(caller)
    for answer in FrameParser().feed(job.attach(frames.decode_attach(asked.payload))):
        caller.receive(answer)
    [again] = FrameParser().feed(b"".join(job.output_to_send(100)))
    assert caller.receive(again) == Data(frames.STDOUT, b"once")


def test_the_end_of_the_input_is_told_after_all_of_it_and_again_after_a_break() -> None:
    """A job that moved between the last byte and the end still learns that the input has ended."""
    caller, job = attached_pair()
    caller.send_input(b"last")
    caller.end_input()
    assert [frame.kind for frame in sent_by(caller)] == [frames.STDIN, frames.STDIN_END]
    caller.connection_replaced()
    caller.attach()
    [asked] = sent_by(caller)
    for frame in FrameParser().feed(job.attach(frames.decode_attach(asked.payload))):
        caller.receive(frame)
    assert sent_by(caller) == [Frame(frames.STDIN, b"last"), Frame(frames.STDIN_END)]


def test_an_exit_counts_behind_the_output_only() -> None:
    """An EXIT of a job's end that nobody is attached to comes again; one of a lost job is final."""
    caller = CallerEnd()
    ended = Frame(frames.EXIT, b'{"exit": 3, "reason": ""}')
    assert caller.receive(ended) is None
    caller, _job = attached_pair()
    assert caller.receive(ended) == Exited(3, "")
    other = CallerEnd()
    lost = Frame(frames.EXIT, b'{"exit": 255, "reason": "its node is gone", "lost": true}')
    assert other.receive(lost) == Exited(255, "its node is gone")
    assert other.exited == Exited(255, "its node is gone")


def test_a_failure_is_the_error_it_tells() -> None:
    """Its code chooses the class, its text is the sentence."""
    with pytest.raises(NotFound, match="no such job"):
        CallerEnd().receive(Frame(frames.FAILED, b'{"code": 404, "text": "no such job"}'))


def test_lost_output_is_counted() -> None:
    """A detached job's oldest output may not be kept any more."""
    caller = CallerEnd({frames.STDOUT: 5})
    caller.attach()
    caller.data_to_send()
    told = b'{"stdout": 9, "stderr": 0, "stdin": 0, "stdin_taken": 0, "n": 1}'
    assert caller.receive(Frame(frames.ATTACHED, told)) == Attached({frames.STDOUT: 4, frames.STDERR: 0})


def test_what_a_job_tells_at_its_start() -> None:
    """STARTED is handed on; what a later version adds is passed over, and numbers are numbers."""
    assert CallerEnd().receive(Frame(frames.STARTED, b'{"job": 7}')) == Started(job=7)
    told = b'{"job": 7, "home": 1, "node": 2, "pid": null, "tty": true, "later": "x"}'
    assert CallerEnd().receive(Frame(frames.STARTED, told)) == Started(7, 1, 2, tty=True)
    for wrong in (b'{"job": "7"}', b'{"job": 7, "pid": true}', b'{"job": 7.5}', b"[7]"):
        with pytest.raises(MalformedFrame):
            CallerEnd().receive(Frame(frames.STARTED, wrong))


@given(st.sampled_from(sorted(frames.KINDS)), st.binary(max_size=60))
def test_any_frame_means_something_or_is_one_error(kind: int, payload: bytes) -> None:
    """A daemon that lies cannot make a client fail in another way."""
    caller, _job = attached_pair()
    try:
        caller.receive(Frame(kind, payload))
    except MalformedFrame:
        pass


@pytest.mark.parametrize(
    "told",
    [
        {}, {"stdout": -1}, {"stdout": "9"}, {"stdin": True}, {"stdout": 1 << 70}, {"stdin_taken": 1.5},
        {"n": None}, {"stdout": 5, "stdin": 10**9},
    ],
)  # fmt: skip
def test_an_answer_with_missing_or_wrong_values(told: dict[str, object]) -> None:
    """Missing ones mean 0; ones that cannot be are one error, and nothing is attached by them."""
    caller = CallerEnd()
    caller.attach()
    [frame] = FrameParser().feed(frames.encode_json(frames.ATTACHED, told))
    try:
        caller.receive(frame)
    except MalformedFrame:
        return
    assert caller.stdin.sent <= caller.stdin.end


class JobOverBrokenConnections(RuleBasedStateMachine):
    """Both ends of a job, and a connection that delivers bytes in any pieces and breaks anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.caller, self.job = CallerEnd(window=WINDOW), JobEnd(window=WINDOW)
        self.typed, self.read = bytearray(), bytearray()
        self.waiting = bytearray()
        self.printed = {kind: bytearray() for kind in self.job.outputs}
        self.shown = {kind: bytearray() for kind in self.job.outputs}
        self.ended = False
        self.connect()

    def connect(self) -> None:
        self.to_job, self.to_caller = bytearray(), bytearray()
        self.job_parser, self.caller_parser = FrameParser(), FrameParser()
        self.job.detach()
        self.caller.connection_replaced()
        self.caller.attach()

    @rule(size=st.integers(1, 20))
    def the_caller_types(self, size: int) -> None:
        size = min(size, self.caller.input_room())
        data = bytes((len(self.typed) + at) % 251 for at in range(size))
        if data:
            self.typed += data
            self.caller.send_input(data)

    @rule()
    def the_input_ends(self) -> None:
        self.caller.end_input()

    @rule(kind=st.sampled_from((frames.STDOUT, frames.STDERR)), size=st.integers(1, 25))
    def the_job_prints(self, kind: int, size: int) -> None:
        size = min(size, self.job.outputs[kind].room())
        data = bytes((len(self.printed[kind]) + at) % 241 for at in range(size))
        self.printed[kind] += data
        self.job.outputs[kind].append(data)

    @rule(size=st.integers(1, 20))
    def the_job_reads(self, size: int) -> None:
        size = min(size, len(self.waiting))
        self.read += self.waiting[:size]
        del self.waiting[:size]
        self.job.stdin.pass_on(size)

    @rule(size=st.integers(1, 50))
    def bytes_reach_the_job(self, size: int) -> None:
        self.to_job += self.caller.data_to_send()
        data = bytes(self.to_job[:size])
        del self.to_job[:size]
        for frame in self.job_parser.feed(data):
            if frame.kind == frames.ATTACH:
                self.to_caller += self.job.attach(frames.decode_attach(frame.payload))
            elif frame.kind == frames.STDIN:
                assert not self.ended
                self.job.stdin.receive(len(frame.payload))
                self.waiting += frame.payload
            elif frame.kind == frames.STDIN_END:
                self.ended = self.job.stdin_ended = True
                assert self.read + self.waiting == self.typed
            elif frame.kind == frames.ACK:
                self.job.acknowledge(frame.payload)

    @rule(size=st.integers(1, 50), passed_on=st.booleans())
    def bytes_reach_the_caller(self, size: int, passed_on: bool) -> None:
        self.to_caller += self.job.input_acknowledgement() + b"".join(self.job.output_to_send(30))
        data = bytes(self.to_caller[:size])
        del self.to_caller[:size]
        for frame in self.caller_parser.feed(data):
            event = self.caller.receive(frame)
            if isinstance(event, Data):
                self.shown[event.kind] += event.data
                if passed_on:
                    self.caller.passed_on(event.kind, WINDOW)
            elif isinstance(event, Attached):
                assert not any(event.lost.values())
            else:
                assert event is None or isinstance(event, InputTaken)

    @precondition(lambda self: self.to_job or self.to_caller)
    @rule()
    def the_connection_breaks(self) -> None:
        self.connect()

    @rule()
    def a_daemon_on_the_way_says_resume(self) -> None:
        self.to_caller += frames.encode(frames.RESUME)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        assert self.typed.startswith(self.read + self.waiting)
        assert len(self.waiting) <= WINDOW
        for kind, printed in self.printed.items():
            assert printed.startswith(self.shown[kind])

    def teardown(self) -> None:
        """However it went so far, a quiet connection brings the rest."""
        self.connect()
        for _round in range(60):
            self.bytes_reach_the_job(10_000)
            self.the_job_reads(WINDOW)
            self.bytes_reach_the_caller(10_000, True)
        assert self.read == self.typed
        assert self.shown == self.printed


TestJobOverBrokenConnections = JobOverBrokenConnections.TestCase
