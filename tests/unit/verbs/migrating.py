"""Who asks for the moves of jobs in these tests, and what another node answers."""

from __future__ import annotations

import json

from libgomd.model import Role
from libgomd.wire.lines import Request
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.three_nodes import ThreeNodes


def as_ada(node: ThreeNodes) -> Talk:
    """The owner of all jobs."""
    return Talk(node, Role.USER, "ada", 1000)


def moved_there(node: int, request: Request) -> tuple[int, str]:
    """What node 2 answers when it has moved something home."""
    return 200, json.dumps({"pid": 811, "node": int(request.arguments[1]), "seconds": 0.2, "moved": True})


def read(talk: Talk, path: str) -> str:
    """The one line of a file, or the refusal."""
    heard = talk.say(f"get {path}").split("\r\n")
    return heard[1] if heard[0].startswith("201 ") else heard[0]
