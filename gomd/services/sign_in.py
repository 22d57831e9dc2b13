"""Where browsers sign in, for the verb `page`: nowhere until the HTTP way in says so."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from gomd.interfaces import ISignIn
from libgomd.errors import NotPossible
from libgomd.model import Caller


@implementer(ISignIn)
class SignIn:
    """Passes `page` on to the page, if there is one."""

    def __init__(self) -> None:
        self._url = ""
        self._new_code: Callable[[Caller], str] | None = None
        self._reason = "this daemon has no page: set [http] endpoint, such as tcp:127.0.0.1:2980"

    def open(self, url: str, new_code: Callable[[Caller], str]) -> None:
        """Let browsers sign in at ``url``. :param new_code: makes a code for a caller."""
        self._url, self._new_code = url, new_code

    def refuse(self, reason: str) -> None:
        """Say why nobody can sign in, one sentence."""
        self._reason = reason

    def code(self, caller: Caller) -> tuple[str, str]:
        """See `ISignIn.code`."""
        if self._new_code is None:
            raise NotPossible(self._reason)
        return self._url, self._new_code(caller)
