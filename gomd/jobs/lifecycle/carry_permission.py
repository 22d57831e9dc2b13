"""Which daemon may do a step with the files that a job carries along."""

from __future__ import annotations

from typing import Final

from libgomd.errors import Conflict, MalformedRequest, NotAllowed
from libgomd.wire.carry_messages import GIVE, PUT
from libgomd.wire.job_name import JobName

#: The step that removes what was sent to another node.
DROP: Final = "drop"
#: The steps that a daemon asks for at another one.
PEER_STEPS: Final = (PUT, GIVE, DROP)


def check_step(
    own_id: int, name: str, step: str, node: int, here: bool = False, leaves: bool = False
) -> None:
    """
    Check whether the daemon of ``node`` may do a step with the files of the job ``name``.

    :param own_id: this node's id. :param here: whether the job is under way here.
    :param leaves: whether it is leaving this node, and is the caller's.
    :raises NotAllowed: it may not. :raises Conflict: the job is here. :raises MalformedRequest: no such step.
    """
    home = JobName.parse(name).home
    if step not in PEER_STEPS:
        raise MalformedRequest(f"carry takes {', '.join(PEER_STEPS)}, not {step[:20]}")
    if step == GIVE and leaves:
        return
    if node != home or home == own_id:
        raise NotAllowed("only a job's home, or the node that it moves to, may ask for its files")
    if step == PUT and here:
        raise Conflict(f"there is a job {name} here already")
