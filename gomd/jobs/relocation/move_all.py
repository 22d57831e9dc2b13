"""Moves many jobs, some at a time, and reports which of them could not be moved: for `bring` and `expel`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.logger import Logger

from libgomd.errors import Conflict

T = TypeVar("T")

#: Maximum number of jobs that are moved at the same time. docs/performance.md has what fewer and more take.
MAX_CONCURRENT_MOVES: Final = 8
#: How often jobs are looked for: the later times find those that came meanwhile.
_ROUNDS: Final = 3
#: Maximum number of reasons in the report, and of characters of each.
_MAX_REASONS: Final = 3
_MAX_REASON_LENGTH: Final = 200
_log: Final = Logger()


async def move_all(
    find: Callable[[], Iterable[T]],
    name: Callable[[T], str],
    move: Callable[[T], Coroutine[Any, Any, str]],
    done: str,
    switch: str,
) -> int:
    """
    Do ``move`` for every job that ``find`` finds, and for those that come meanwhile.

    A move that fails, in whatever way, stops no other one: all have been tried when this returns.

    :param name: gives what a job is known by. :param move: gives why it could not be done, empty when it was.
    :param done: what is said of those that moved. :param switch: what is said of the node's switch.
    :returns: how many jobs there were. :raises Conflict: some could not be moved; says how many, and why.
    """
    tried: set[str] = set()
    reasons: list[str] = []
    slots = DeferredSemaphore(MAX_CONCURRENT_MOVES)

    async def attempt(job: T) -> str:
        try:
            return await move(job)
        except Exception as error:  # noqa: BLE001 - a bug: the other jobs must not stay where they are for it
            _log.failure("moving job {job} failed", job=name(job))
            return f"job {name(job)}: {type(error).__name__}, see the log of the daemon"

    for _round in range(_ROUNDS):
        found = [each for each in find() if name(each) not in tried]
        if not found:
            break
        tried.update(name(each) for each in found)
        moves = [slots.run(lambda each: Deferred.fromCoroutine(attempt(each)), each) for each in found]
        reasons += [reason for reason in await gatherResults(moves) if reason]
    if reasons:
        told = "; ".join(reason[:_MAX_REASON_LENGTH] for reason in reasons[:_MAX_REASONS])
        more = f"; and {len(reasons) - _MAX_REASONS} more" if len(reasons) > _MAX_REASONS else ""
        raise Conflict(f"{len(tried) - len(reasons)} of {len(tried)} {done}; {told}{more}; {switch}")
    return len(tried)
