"""Finds out why a node refuses a job: checks this node, or asks another one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred

from gomd.interfaces import UNTRUSTED
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.migration.channels import DAEMON, VERB
from gomd.jobs.migration.context import MigrationContext
from gomd.jobs.migration.details import ABILITIES, LOOK, SEEN, TERMINALS, OfferDetails, SeenDetails
from gomd.jobs.migration.failure_reason import reason_of
from gomd.jobs.migration.messages import (
    MessageReader,
    MigrationId,
    MigrationMessage,
    encode_message,
)
from libgomd.deadlines import within
from libgomd.errors import GomdError, PeerUnreachable
from libgomd.model import Status, is_system_user
from libgomd.wire.frames import Frame
from libgomd.wire.lines import Request

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.requirements import Requirements

#: Seconds that another node may take to answer whether a job could come to it.
LOOK_TIMEOUT: Final = 40.0


async def reasons_to_refuse(
    context: MigrationContext, requirements: Requirements, job: MigrationId
) -> Sequence[str]:
    """Return why a job cannot come to this node, a clause for each reason; empty when it can."""
    name = context.name_of(context.own_id)
    if refusal := _first_refusal(context, requirements, job, name):
        return [refusal]
    found = await context.checks.missing(job.name, requirements, name, context.jobs.no_memory_limit)
    if not requirements.carried:
        return found
    if context.carried is None:
        return [*found, f"{name} does not take carried files"]
    carried, uid, user = requirements.carried, requirements.uid, requirements.user
    return [*found, *await context.carried.moves.obstacles(carried, uid, user)]


def _first_refusal(context: MigrationContext, requirements: Requirements, job: MigrationId, name: str) -> str:
    """Return why a job may not come to this node whatever is on it, empty when it may."""
    policy, uid = context.policy, requirements.uid
    if is_system_user(uid) and not policy.allow_system_users():
        return f"{name} takes no processes of {requirements.user or uid} from other nodes ({UNTRUSTED})"
    if job.home == context.own_id:
        if not context.jobs.runs_for_home(job.job, job.name):
            return f"{name}, its home, does not know it any more"
    elif context.node(context.own_id).status & Status.BLOCK:
        return f"{name} takes no guests"
    elif context.jobs.get(job.name) is not None:
        return f"{name} has a job of that name"
    elif full := policy.full_for(uid):
        return f"{name}: {full}"
    return "" if policy.is_root else f"gomd on {name} does not run as root"


def reasons_of_age(terminals: bool, abilities: Collection[str], node: str) -> list[str]:
    """Return why a job cannot move to a node whose version of gomd has only these abilities."""
    if terminals and TERMINALS not in abilities:
        return [f"it has a terminal, and gomd on {node} is too old to take it: install this version there"]
    return []


async def ask_target(
    context: MigrationContext, migration: str, target: int, requirements: Requirements
) -> Sequence[str]:
    """
    Ask another node why a job could not come to it; nothing is begun there.

    :param migration: an id for the question.
    :returns: a clause for each reason, empty when the job could come.
    :raises PeerUnreachable: the node does not answer. :raises CannotMove: the requirements are too long.
    """
    from gomd.jobs.migration.requirements_file import REQUIREMENTS_FILE, encode_requirements

    files = {REQUIREMENTS_FILE: encode_requirements(requirements)}
    private = requirements.private_bytes
    details = OfferDetails(private_bytes=private)
    question = MigrationMessage(migration, LOOK, context.own_id, details=details, files=files)
    stream: FrameStream = await context.channels.open_other(context.node(target), Request(VERB), DAEMON)
    answer: Deferred[Sequence[str]] = Deferred(lambda _: stream.abort())
    reader = MessageReader()

    def on_frame(frame: Frame) -> None:
        for message in reader.feed(frame):
            seen = message.details
            if message.migration == migration and isinstance(seen, SeenDetails) and not answer.called:
                old = private is not None and not seen.takes_files
                more = (takes_no_files(context.name_of(target)),) if old else ()
                lacking = reasons_of_age(requirements.terminals, seen.abilities, context.name_of(target))
                answer.callback((*seen.reasons, *more, *lacking))

    def on_lost() -> None:
        if not answer.called:
            answer.errback(PeerUnreachable(f"{context.name_of(target)} ended the stream"))

    stream.listen(on_frame, on_lost)
    late = PeerUnreachable(f"{context.name_of(target)} did not answer within {LOOK_TIMEOUT:g} s")
    try:
        stream.send(encode_message(question))
        return await within(context.clock, LOOK_TIMEOUT, answer, late)
    finally:
        stream.close()


async def answer_look(context: MigrationContext, question: MigrationMessage) -> MigrationMessage:
    """Return the answer to another node's question whether a job could come here. Never raises."""
    from gomd.jobs.migration.requirements_file import REQUIREMENTS_FILE, decode_requirements

    reasons: Sequence[str]
    try:
        requirements = decode_requirements(question.files.get(REQUIREMENTS_FILE, b""))
        if isinstance(question.details, OfferDetails):
            requirements = replace(requirements, private_bytes=question.details.private_bytes)
        reasons = await reasons_to_refuse(context, requirements, MigrationId.parse(question.migration))
    except (GomdError, OSError) as error:
        reasons = [reason_of(error)]
    seen = SeenDetails(tuple(reasons), takes_files=True, abilities=ABILITIES)
    return MigrationMessage(question.migration, SEEN, context.own_id, details=seen)


def takes_no_files(node: str) -> str:
    """Return why a job with temporary files of its own cannot move to a node of an older version."""
    return f"gomd on {node} is older and takes no job with temporary files of its own: update it there"
