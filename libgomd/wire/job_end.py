"""
The supervisor's end of a job's streams, the other side of `libgomd.wire.attachment.CallerEnd`. No I/O.
"""

from __future__ import annotations

from typing import Any

from libgomd.wire import frames
from libgomd.wire.attachment import OUTPUTS
from libgomd.wire.resumable import WINDOW, Receiver, Sender, Store


class JobEnd:
    """
    The supervisor's end of a job's streams: which bytes may be sent now, and what a caller's frames ask for.

    :param stores: where the outputs are kept, by the kind of their frames; None keeps them in memory.
    :ivar attached: whether a caller is attached.
    :ivar stop: as in `Attached.stop`. :ivar tells_stops: whether the attached caller wants to hear of it.
    """

    def __init__(self, stores: dict[int, Store] | None = None, window: int = WINDOW) -> None:
        kept = stores or {}
        self.outputs = {kind: Sender(kept.get(kind), window) for kind in OUTPUTS}
        self.stdin = Receiver(0, window)
        self.stdin_ended = False
        self.attached = False
        self.stop = 0
        self.tells_stops = False

    def detach(self) -> None:
        """The caller, or the connection to it, is gone."""
        self.attached = False

    def attach(self, wanted: frames.AttachRequest) -> bytes:
        """
        Begin a new attachment.

        :returns: the frame that answers, with the acknowledgement of the input behind it.
        """
        self.attached = True
        told: dict[str, Any] = {
            "stdout": self.outputs[frames.STDOUT].resume(wanted.stdout),
            "stderr": self.outputs[frames.STDERR].resume(wanted.stderr),
            "stdin": self.stdin.received,
            "stdin_taken": self.stdin.taken,
            "stdin_ended": self.stdin_ended,
        }
        if wanted.n is not None:
            told["n"] = wanted.n
        self.tells_stops = wanted.stops
        if self.tells_stops:
            told["stopped"] = self.stop
        self.stdin.acknowledgement()
        return frames.encode_json(frames.ATTACHED, told) + frames.encode_ack(frames.STDIN, self.stdin.taken)

    def acknowledge(self, payload: bytes) -> None:
        """Take an `ACK` of the caller. :raises MalformedFrame: it is none."""
        stream, position = frames.decode_ack(payload)
        if stream in self.outputs:
            self.outputs[stream].acknowledge(position)

    def input_acknowledgement(self) -> bytes:
        """Return the frame that acknowledges input, empty when there is nothing new to acknowledge."""
        if not self.attached:
            return b""
        position = self.stdin.acknowledgement()
        return b"" if position is None else frames.encode_ack(frames.STDIN, position)

    def output_to_send(self, limit: int) -> list[bytes]:
        """
        Return frames with up to about ``limit`` bytes of output, in parts, to be sent one behind the other.

        A part may be a piece of output as the store keeps it, so that nothing is copied. Empty: none may be
        sent now.
        """
        if not self.attached:
            return []
        found: list[bytes] = []
        size = 0
        for kind, output in self.outputs.items():
            while size < limit and (piece := output.next_piece()):
                found += (frames.head(kind, len(piece)), piece)
                size += len(piece)
        return found

    @property
    def drained(self) -> bool:
        """Whether everything that is kept of both outputs has been sent to the attached caller."""
        return all(output.drained for output in self.outputs.values())

    @property
    def overtaken(self) -> bool:
        """Whether output that was never sent is not kept any more: the caller has to attach again."""
        return any(output.overtaken for output in self.outputs.values())
