"""
The test vectors of a job's streams (docs/wire.md): what each end does with the frames it gets.

A vector is a list of steps for one end. ``frames`` of a step are what comes or goes, in hexadecimal;
``python -m tests.unit.wire.vectors`` writes them to tests/data/wire/streams.json.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libgomd.wire import frames
from libgomd.wire.attachment import Attached, CallerEnd, Data, Event, Exited, InputTaken, Started
from libgomd.wire.job_end import JobEnd

#: Bytes of the window in the vectors: small, so that they are short.
WINDOW = 8
Step = tuple[str, Any]
_STREAM = {"stdin": frames.STDIN, "stdout": frames.STDOUT, "stderr": frames.STDERR}


def _attached(stdout: int, stdin: int, taken: int, n: int, **more: Any) -> Step:
    told = {"stdout": stdout, "stderr": 0, "stdin": stdin, "stdin_taken": taken, "n": n, **more}
    return ("frame", frames.encode_json(frames.ATTACHED, told))


def _attach(stdout: int, stderr: int, n: int, **more: Any) -> Step:
    return ("frame", frames.encode_json(frames.ATTACH, {"stdout": stdout, "stderr": stderr, "n": n, **more}))


#: What happens to each end, by the name of the vector: orders to it, and frames from the other end.
CALLER: dict[str, list[Step]] = {
    "from beginning to end": [
        ("attach", None),
        ("frame", frames.encode_json(frames.STARTED, {"job": 7, "home": 1, "node": 1, "pid": 42})),
        _attached(0, 0, 0, 1),
        ("input", b"abc"), ("end input", None),
        ("frame", frames.encode_ack(frames.STDIN, 3)),
        ("frame", frames.encode(frames.STDOUT, b"ABC")), ("passed on", ["stdout", 3]),
        ("frame", frames.encode(frames.STDERR, b"!")), ("passed on", ["stderr", 1]),
        ("frame", frames.encode_json(frames.EXIT, {"exit": 0, "reason": ""})), ("collected", None),
    ],
    "the window holds input back": [
        ("attach", None),
        _attached(0, 0, 0, 1),
        ("input", b"01234567"), ("frame", frames.encode_ack(frames.STDIN, 2)), ("input", b"89"),
        ("frame", frames.encode_ack(frames.STDIN, 2)), ("frame", frames.encode_ack(frames.STDIN, 99)),
    ],
    "a new connection: input that did not arrive is sent again, its end too": [
        ("attach", None),
        _attached(0, 0, 0, 1),
        ("input", b"abcdef"), ("end input", None), ("frame", frames.encode(frames.STDOUT, b"xy")),
        ("connection replaced", None), ("attach", None),
        ("frame", frames.encode(frames.STDOUT, b"xy")),
        _attached(2, 4, 1, 2),
        ("passed on", ["stdout", 2]),
    ],
    "RESUME while an answer is under way: the older answer begins nothing": [
        ("attach", None), ("frame", frames.encode(frames.RESUME)),
        _attached(0, 0, 0, 1),
        ("frame", frames.encode(frames.STDOUT, b"early")),
        ("frame", frames.encode_json(frames.EXIT, {"exit": 1, "reason": ""})),
        _attached(0, 0, 0, 2),
        ("frame", frames.encode(frames.STDOUT, b"early")), ("passed on", ["stdout", 5]),
    ],
    "output that is not kept any more, and a job that is lost": [
        ("attach", None),
        _attached(5, 0, 0, 1, stdin_ended=True),
        ("input room", 0), ("frame", frames.encode(frames.RESUME)),
        ("frame", frames.encode_json(frames.EXIT, {"exit": 143, "reason": "job 7 is lost", "lost": True})),
    ],
    "input goes on behind what another caller has sent": [
        ("attach", None),
        _attached(0, 100, 98, 1),
        ("input room", 6), ("input", b"abcdef"), ("frame", frames.encode_ack(frames.STDIN, 106)),
        ("input room", 8),
    ],
    "a job that stops and goes on": [
        ("wants stops", None), ("attach", None),
        _attached(0, 0, 0, 1, stopped=0),
        ("frame", frames.encode(frames.RESUME)),
        _attached(0, 0, 0, 2, stopped=1),
        ("connection replaced", None), ("attach", None),
        _attached(0, 0, 0, 3, stopped=0),
    ],
}  # fmt: skip
JOB: dict[str, list[Step]] = {
    "from beginning to end": [
        _attach(0, 0, 1),
        ("output", ["stdout", "414243"]), ("send", None),
        ("frame", frames.encode(frames.STDIN, b"abc")), ("passed on", 3),
        ("frame", frames.encode_ack(frames.STDOUT, 3)),
    ],
    "the window holds output back": [
        _attach(0, 0, 1),
        ("output", ["stdout", b"0123456789".hex()]), ("send", None),
        ("frame", frames.encode_ack(frames.STDOUT, 1)), ("send", None),
        ("frame", frames.encode_ack(frames.STDOUT, 1)), ("frame", frames.encode_ack(frames.STDOUT, 99)),
        ("send", None),
    ],
    "a new caller: output goes on from where it says": [
        _attach(0, 0, 1),
        ("output", ["stdout", b"abcdef".hex()]), ("output", ["stderr", b"!".hex()]), ("send", None),
        ("frame", frames.encode_ack(frames.STDOUT, 2)), ("frame", frames.encode(frames.STDIN, b"in")),
        ("detach", None), ("send", None),
        _attach(4, 0, 2), ("send", None),
        _attach(0, 9, 3), ("send", None),
    ],
    "a caller who wants to hear of stops, and one who does not": [
        _attach(0, 0, 1, stops=True), ("stop", 1), _attach(0, 0, 2, stops=True),
        _attach(0, 0, 3), ("stop", 0), _attach(0, 0, 4, stops=True),
    ],
}  # fmt: skip


def stream_vectors() -> list[dict[str, Any]]:
    """Return the vectors: each step with the frames that go out behind it and what it means."""
    return [
        {"end": end, "name": name, "window": WINDOW, "steps": play(steps)}
        for end, vectors, play in (("caller", CALLER, _play_caller), ("job", JOB, _play_job))
        for name, steps in vectors.items()
    ]


def _step(do: str, value: Any, out: bytes, **more: Any) -> dict[str, Any]:
    shown = value.hex() if isinstance(value, bytes) else value
    return {"do": do, "with": shown, "out": out.hex(), **more}


def _play_caller(steps: list[Step]) -> list[dict[str, Any]]:
    end = CallerEnd(window=WINDOW, stops=("wants stops", None) in steps)
    played = []
    orders: dict[str, Callable[[Any], Any]] = {
        "attach": lambda _: end.attach(), "connection replaced": lambda _: end.connection_replaced(),
        "input": end.send_input, "end input": lambda _: end.end_input(),
        "passed on": lambda value: end.passed_on(_STREAM[value[0]], value[1]),
        "collected": lambda _: end.collected(), "input room": lambda _: None, "wants stops": lambda _: None,
    }  # fmt: skip
    for do, value in steps:
        more: dict[str, Any] = {}
        if do == "frame":
            [frame] = frames.FrameParser().feed(value)
            more["event"] = _event(end.receive(frame))
        else:
            orders[do](value)
        if do == "input room":
            assert end.input_room() == value
        played.append(_step(do, value, end.data_to_send(), **more))
    return played


def _event(event: Event | None) -> Any:
    match event:
        case Started(job):
            return {"started": job}
        case Attached(lost, stop):
            more = {} if stop is None else {"stop": stop}
            return {"attached": {"stdout": lost[frames.STDOUT], "stderr": lost[frames.STDERR]}, **more}
        case Data(kind, data):
            return {"data": [{18: "stdout", 19: "stderr"}[kind], data.hex()]}
        case InputTaken(position):
            return {"input taken": position}
        case Exited(status, reason):
            return {"exited": status, "reason": reason}
    return None


def _play_job(steps: list[Step]) -> list[dict[str, Any]]:
    end = JobEnd(window=WINDOW)
    played = []
    for do, value in steps:
        out = b""
        if do == "frame":
            [frame] = frames.FrameParser().feed(value)
            if frame.kind == frames.ATTACH:
                out = end.attach(frames.decode_attach(frame.payload))
            elif frame.kind == frames.ACK:
                end.acknowledge(frame.payload)
            else:
                end.stdin.receive(len(frame.payload))
        elif do == "output":
            end.outputs[_STREAM[value[0]]].append(bytes.fromhex(value[1]))
        elif do == "send":
            out = b"".join(end.output_to_send(1 << 20))
        elif do == "passed on":
            end.stdin.pass_on(value)
            out = end.input_acknowledgement()
        elif do == "stop":
            end.stop = value
        else:
            end.detach()
        played.append(_step(do, value, out))
    return played
