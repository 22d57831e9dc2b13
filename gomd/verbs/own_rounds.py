"""The rounds of this node's own watch, as the bytes that another node would send."""

from __future__ import annotations

from collections.abc import Callable

from gomd.verbs import rendering
from gomd.verbs.numbered_lines import NumberedLines
from gomd.verbs.replies import WatchReply
from libgomd.wire.lines import encode_block


async def follow_here(reply: WatchReply, take: Callable[[bytes], None]) -> None:
    """Give ``take`` the rounds of a watch in JSON until it ends. Raises what the verb raises."""
    pieces = rendering.pieces(reply, True)
    try:
        async for piece in pieces:
            take(piece.encoded() if isinstance(piece, NumberedLines) else encode_block(piece))
    finally:
        await pieces.aclose()
