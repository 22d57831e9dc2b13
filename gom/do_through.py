"""`gom do NAME -n NODES` on many nodes with one request: the daemon asks most of them through others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

from gom.do_options import NodeTarget
from gom.folded import Kept, NodeOutput
from gom.relay import connected
from libgomd.endpoints import Endpoint
from libgomd.errors import GomdError, MalformedRequest, RequestError, error_for
from libgomd.wire.lines import BLOCK, MAX_LINE, Request, encode_request

#: Why nobody knows how a command ended on a node.
_CUT_OFF: Final = "its answer was cut off"


def through_daemon(
    endpoints: Sequence[Endpoint],
    token: str,
    command: str,
    chosen: Sequence[NodeTarget],
    told: Callable[[str, str], None] | None,
) -> Iterator[NodeOutput] | None:
    """
    Run the command on all of ``chosen`` at once; yields how it ended on each, as it ends. Blocks.

    :param told: gets each line as it comes, with the name of its node.
    :returns: None when nothing has begun: the daemon is of an older version or refuses, or there are too many
        nodes for one request. :raises GomdError: the daemon here cannot be asked.
    """
    asked = {target.node: target for target in chosen if not target.error}
    request = Request("do", (command,), _ids(sorted(asked)))
    if len(asked) < 2 or len(encode_request(request)) > MAX_LINE:
        return None
    line = connected(endpoints, token, True, request)
    try:
        if line.ask(request, None).code != BLOCK:
            raise MalformedRequest("it answered without output")
    except RequestError:
        line.close()
        return None
    except BaseException:
        line.close()
        raise
    return _outputs(line, asked, [target for target in chosen if target.error], told)


class _Answer(Protocol):
    """What is used of a connection."""

    def rows(self, timeout: float | None, /) -> Iterator[str]: ...

    def close(self) -> None: ...


def _outputs(
    line: _Answer,
    asked: dict[int, NodeTarget],
    down: Sequence[NodeTarget],
    told: Callable[[str, str], None] | None,
) -> Iterator[NodeOutput]:
    why = _CUT_OFF
    kept = {node: Kept() for node in asked}
    yield from (NodeOutput(target.node, target.name, error=target.error) for target in down)
    try:
        for row in line.rows(None):
            ended = _taken(json.loads(row), asked, kept, told)
            if ended is not None:
                del asked[ended.node], kept[ended.node]
                yield ended
    except (GomdError, OSError) as error:
        why = str(error)
    finally:
        line.close()
    for node, target in asked.items():
        yield NodeOutput(node, target.name, tuple(kept[node].lines), error=why)


def _taken(
    found: Any, asked: dict[int, NodeTarget], kept: dict[int, Kept], told: Callable[[str, str], None] | None
) -> NodeOutput | None:
    """
    Keep a row; return how the command ended on its node if that is what it says.

    :raises GomdError: the daemon here could not go on.
    """
    if "from" not in found and "error" in found:
        raise error_for(int(found["code"]), str(found["error"]))
    node = found.get("from")
    if node not in asked:
        return None
    name, output = asked[node].name, kept[node]
    if "error" in found:
        return NodeOutput(node, name, tuple(output.lines), error=str(found["error"]))
    if found.get("exit") is not None:
        return NodeOutput(node, name, tuple(output.lines), int(found["exit"]), is_cut=output.is_cut)
    text = str(found.get("line") or "")
    output.add(text)
    if told is not None:
        told(name, text)
    return None


def _ids(ids: Iterable[int]) -> str:
    """Return ids in ascending order as ``2-31,40``."""
    runs: list[list[int]] = []
    for each in ids:
        if runs and each == runs[-1][1] + 1:
            runs[-1][1] = each
        else:
            runs.append([each, each])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
