"""Replies to `watch @all VERB` and `watch @NODE VERB`. What they take is loaded with the first of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gomd.verbs.context import ISession, Parts
from gomd.verbs.first_rows import first_rows
from gomd.verbs.merged_watch import (
    MAX_MERGED,
    MAX_MERGED_PER_CALLER,
    MergedRequest,
    MergedWatches,
    refusal,
)
from gomd.verbs.quotas import Quotas, ReleasingRows
from gomd.verbs.replies import Reply, WatchReply
from gomd.verbs.rounds import Watches
from gomd.verbs.table import Verb
from gomd.verbs.watch_options import UNSHARED_VERBS, WatchOptions, allowed, can_be_watched, own_times
from libgomd.errors import MalformedRequest
from libgomd.wire.lines import Request


class Merging:
    """
    Makes the replies.

    :param watches: where equal ones are shared. :param find: gives a verb by its name. :param ask: asks this
        node. :param check: checks a request of a caller, and gives its verb.
    """

    def __init__(
        self,
        watches: Watches,
        find: Callable[[str], Verb],
        ask: Callable[[Parts, ISession, Request], Any],
        check: Callable[[ISession, Request], Verb],
    ) -> None:
        self._watches = watches
        self._find = find
        self._ask = ask
        self._check = check
        self._merged = MergedWatches(watches)
        self._places = Quotas("watches of other nodes", MAX_MERGED, MAX_MERGED_PER_CALLER)

    def reply(
        self, parts: Parts, session: ISession, node: str, request: Request, options: WatchOptions
    ) -> Reply:
        """Return the reply to a watch of one node or all of them. :raises GomdError: it is refused."""
        if request.verb.startswith("@"):
            raise refusal(request.verb, node)
        verb = self._find(request.verb)
        goes_on = verb.follow is not None and not request.arguments
        if not can_be_watched(verb) or goes_on:
            raise refusal(verb.name, node)
        self._check(session, request)
        first = None
        if options.most is not None:
            first = first_rows(options.most, options.wanted, request)
            if not session.json:
                raise MalformedRequest("--most is for JSON: say `format json` first")
        period, often = allowed(options.period, verb, parts, session)
        release = self._places.take(session.caller)

        def watch_here(watcher: ISession, asked: Request) -> WatchReply:
            rounds = self._watches.join(
                parts.clock, watcher, asked if verb.name not in UNSHARED_VERBS else None, period, None,
                lambda inner: self._ask(parts, inner, asked), times=own_times(parts),
            )  # fmt: skip
            return WatchReply("", rounds)

        try:
            answers = self._merged.join(
                parts, session, MergedRequest(node, request, first), period, options.rounds,
                verb.name not in UNSHARED_VERBS, lambda watcher, asked: self._ask(parts, watcher, asked),
                watch_here,
            )  # fmt: skip
        except Exception:
            release()
            raise
        text = f"watching {verb.name} of {node} every {period:g} s{often}: send a line to stop"
        return WatchReply(text, ReleasingRows(answers, release))
