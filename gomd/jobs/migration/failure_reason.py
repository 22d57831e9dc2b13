"""Says in a clause why a step of a migration failed, for the person who asked for it."""

from __future__ import annotations

import errno

from libgomd.errors import GomdError

_NO_SPACE = "no space is left on the disk of [jobs] spool"


def reason_of(error: BaseException) -> str:
    """
    Return why a step failed.

    :param error: what it raised: a `GomdError` says it itself, an OSError in the system's words, and anything
        else is a mistake in gomd, which is shown as it is.
    """
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _NO_SPACE
        if error.strerror:
            return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        return str(error) or type(error).__name__
    return str(error) if isinstance(error, GomdError) else repr(error)
