"""Checks tokens against the tokens file, which is read at each `auth`, so that a new token works at once."""

from __future__ import annotations

import pwd
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import IThreads, ITokens
from libgomd.errors import ConfigError, NotAllowed, NotPossible
from libgomd.model import Caller, Counter, Role, is_system_user
from libgomd.tokens import Token, find_token, read_tokens

#: Seconds that reading the file may take, and the look-up of a user.
CHECK_TIMEOUT = 5.0


@implementer(ITokens)
class FileTokens:
    """
    :param path: the tokens file; if it is missing, no token is known.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, path: str, threads: IThreads) -> None:
        self.path = path
        self._threads = threads
        self._good = 0
        self._bad = 0

    async def check(self, token: str, caller: Caller) -> Caller | None:
        """See `ITokens.check`."""
        found = await self._threads.run(CHECK_TIMEOUT, self._look_up, token)
        if found is None:
            self._bad += 1
            return None
        key = ("user", found.name)
        became = await self._threads.run_apart(CHECK_TIMEOUT, key, "names", _become, found, caller)
        self._good += 1
        return became

    def _look_up(self, token: str) -> Token | None:
        """Find the token. Blocks."""
        try:
            tokens = read_tokens(self.path)
        except ConfigError as error:
            raise NotPossible(str(error)) from error
        for mistake in tokens.mistakes:
            self._log.warn("{path}: {mistake}", path=self.path, mistake=mistake)
        return find_token(tokens.tokens, token)

    def counters(self) -> Iterable[Counter]:
        """Return how many tokens were known, and how many were not."""
        yield Counter("auth_good", self._good, "tokens that were known")
        yield Counter("auth_bad", self._bad, "tokens that were not")


def _become(found: Token, caller: Caller) -> Caller:
    """Return ``caller`` with the role of a token. Blocks: a directory server may have to be asked."""
    try:
        uid: int | None = pwd.getpwnam(found.name).pw_uid
    except KeyError:
        uid = None
        if found.role is Role.USER:
            raise NotAllowed(
                f"this token makes you the user {found.name}, and there is none on this node"
            ) from None
    if found.role is Role.USER and is_system_user(uid):
        raise NotAllowed(
            f"this token makes you the user {found.name}, who belongs to the system itself (uid {uid}): "
            "tokens of role user are for people; use the unix socket, or a token of role admin"
        )
    return replace(caller, role=found.role, user=found.name, uid=uid)
