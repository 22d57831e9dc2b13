"""`gom do NAME -n NODES`: runs a command of the administrator's on many nodes, and folds what they print."""

from __future__ import annotations

import functools
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from gom.do_options import FANOUT, Everywhere, NodeTarget, targets
from gom.do_through import through_daemon
from gom.exitstatus import ExitStatus
from gom.folded import Kept, NodeOutput, failures, folded, worst
from gom.relay import ask_rows, connected
from libgomd.endpoints import Endpoint
from libgomd.errors import GomdError, MalformedRequest
from libgomd.wire.lines import BLOCK, Request
from libgomd.wire.text import printable


def run(endpoints: Sequence[Endpoint], token: str, is_json: bool, wanted: Everywhere) -> int:
    """
    Run the command on the nodes, print what they printed, and return the exit status.

    Blocks until it has ended on all nodes.

    :raises GomdError: the daemon here cannot be asked, or refuses. What a node refuses is told with its name.
    """
    _, rows = ask_rows(endpoints, token, Request("nodes"))
    chosen = targets(wanted.nodes, rows)
    if not chosen:
        raise MalformedRequest(f"{wanted.nodes[:60]} stands for no node that is known here")

    def on(target: NodeTarget, told: Callable[[str], None]) -> NodeOutput:
        return _on_one(endpoints, token, wanted.command, target, told)

    outputs: list[NodeOutput] = []
    lines = _prefixed if wanted.is_live and not is_json else None
    with_progress = sys.stderr.isatty() and not wanted.is_live
    ended: Iterable[NodeOutput] | None = None
    if wanted.fanout is None and len(chosen) > FANOUT:
        ended = through_daemon(endpoints, token, wanted.command, chosen, lines)
    if ended is None:
        ended = _all(chosen, wanted.fanout or FANOUT, on, lines)
    for output in ended:
        outputs.append(output)
        if is_json:
            print(output.as_json(), flush=True)
        if with_progress:
            print(f"\r{len(outputs)} of {len(chosen)} nodes have ended", end="", file=sys.stderr, flush=True)
    if with_progress:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if not is_json:
        for line in folded(outputs) if lines is None else ():
            print(printable(line))
        sys.stdout.flush()
        for sentence in failures(outputs):
            print(f"gom: {printable(sentence)}", file=sys.stderr)
    return worst(outputs)


def _prefixed(name: str, line: str) -> None:
    print(printable(f"{name}: {line}"), flush=True)


def _on_one(
    endpoints: Sequence[Endpoint], token: str, command: str, target: NodeTarget, told: Callable[[str], None]
) -> NodeOutput:
    """Run the command on one node. Blocks until it ends."""
    if target.error:
        return NodeOutput(target.node, target.name, error=target.error)
    kept, ended = Kept(), ExitStatus(json=False)
    request = Request("do", (command,), str(target.node))
    try:
        line = connected(endpoints, token, False, request)
        try:
            if line.ask(request, None).code != BLOCK:
                return NodeOutput(target.node, target.name, error="it answered without output")
            for text in _all_but_last(ended.follow(line.rows(None))):
                kept.add(text)
                told(text)
        finally:
            line.close()
    except (GomdError, OSError) as error:
        return NodeOutput(target.node, target.name, tuple(kept.lines), error=str(error))
    if not ended.has_ended:
        return NodeOutput(
            target.node, target.name, tuple(kept.lines), error=ended.last or "its answer was cut off"
        )
    return NodeOutput(target.node, target.name, tuple(kept.lines), ended.status, is_cut=kept.is_cut)


def _all_but_last(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines but the last one, which is the daemon's own."""
    pending = None
    for line in lines:
        if pending is not None:
            yield pending
        pending = line


def _all(
    chosen: Sequence[NodeTarget],
    fanout: int,
    on: Callable[[NodeTarget, Callable[[str], None]], NodeOutput],
    told: Callable[[str, str], None] | None,
) -> Iterator[NodeOutput]:
    """Yield how the command ended on each node, as it ends; ``fanout`` run at a time, each on a thread."""
    waiting: queue.SimpleQueue[NodeTarget] = queue.SimpleQueue()
    ended: queue.SimpleQueue[NodeOutput] = queue.SimpleQueue()
    printing = threading.Lock()
    for target in chosen:
        waiting.put(target)

    def tell(name: str, line: str) -> None:
        if told is not None:
            with printing:
                told(name, line)

    def work() -> None:
        while True:
            try:
                target = waiting.get_nowait()
            except queue.Empty:
                return
            output = NodeOutput(target.node, target.name, error="gom itself failed there")
            try:
                output = on(target, functools.partial(tell, target.name))
            finally:
                ended.put(output)

    # Daemon threads: at Ctrl-C gom ends at once, its connections with it, and so the commands on all nodes.
    for _ in range(min(fanout, len(chosen))):
        threading.Thread(target=work, daemon=True).start()
    for _ in chosen:
        yield ended.get()
