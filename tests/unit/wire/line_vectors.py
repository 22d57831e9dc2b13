"""
Test vectors of the telnet line, for programs in other languages: the bytes of replies, and what they say.

``python -m tests.unit.wire.line_vectors`` writes them to tests/data/line/replies.json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from libgomd.wire.lines import BLOCK, encode_block, encode_status
from libgomd.wire.text import printable

FILE: Final = Path(__file__).parents[2] / "data" / "line" / "replies.json"
_END: Final = b".\r\n"
#: A name with bytes that no terminal should get: ESC, a byte that is no UTF-8, and a backslash-x of its own.
_AWKWARD: Final = b"a\x1b[2Jb\xffc \xc3\xa9"


def _block(text: str, lines: Sequence[str]) -> bytes:
    return encode_status(BLOCK, text) + encode_block(lines) + _END


def _reply(code: int, text: str, lines: Sequence[str] = (), error: Any = None) -> dict[str, Any]:
    return {"code": code, "text": text, "lines": [*lines], "error": error}


def vectors() -> list[dict[str, Any]]:
    """Return each vector: its name, its ``bytes`` as hex, and what a client makes of them."""
    dotted = [".", "..", ".profile", "...", "a.", "", " ."]
    shown = printable(_AWKWARD.decode("utf-8", "backslashreplace"))
    empty = [
        '{"value": 7, "round": 1, "rows": 1}', '{"round": 2, "rows": 0}', '{"round": 3, "rows": 0}',
        '{"from": 1, "pid": 5, "rows_age": 0, "round": 4, "rows": 2}',
        '{"from": 2, "left": true, "round": 4, "rows": 2}',
    ]  # fmt: skip
    failed = ["1", "2"]
    found: list[tuple[str, bytes, dict[str, Any]]] = [
        ("a value", encode_status(200, "50"), {"replies": [_reply(200, "50")]}),
        ("a status without a text", encode_status(200, ""), {"replies": [_reply(200, "")]}),
        ("a refusal", encode_status(404, "no such node"), {"replies": [_reply(404, "no such node")]}),
        ("an empty block", _block("0 jobs", ()), {"replies": [_reply(201, "0 jobs")]}),
        ("dot-stuffing", _block("7 lines", dotted), {"replies": [_reply(201, "7 lines", dotted)]}),
        (
            "bytes that are not printable", _block("1 lines", [shown]),
            {"replies": [_reply(201, "1 lines", [shown])], "original": [_AWKWARD.hex()]},
        ),
        (
            "a block that could not be completed", _block("2 of many", [*failed, "! 504 no answer in time"]),
            {"replies": [_reply(201, "2 of many", failed, [504, "no answer in time"])]},
        ),
        (
            "rounds of a watch, two of them empty", _block("watching", empty),
            {"replies": [_reply(201, "watching", empty)], "rounds": [[1, 1], [2, 0], [3, 0], [4, 2]]},
        ),
        (
            "replies to pipelined requests",
            encode_status(200, "1") + _block("x", ["200 2"]) + encode_status(221, "bye"),
            {"replies": [_reply(200, "1"), _reply(201, "x", ["200 2"]), _reply(221, "bye")]},
        ),
        (
            "frames behind a 202", encode_status(202, "job 7") + b"\x01\x00\r\n.\r\n200 x\r\n",
            {"replies": [_reply(202, "job 7")], "frames": b"\x01\x00\r\n.\r\n200 x\r\n".hex()},
        ),
    ]  # fmt: skip
    return [{"name": name, "bytes": data.hex(), **said} for name, data, said in found]


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
