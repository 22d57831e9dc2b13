"""The caller of a request, and the role that says what they may do."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar, Final

#: The first uid of a person. Lower uids belong to root and to the users of the system itself.
FIRST_USER: Final = 1000


class Role(enum.IntEnum):
    """The rights of a caller. Each role includes the rights of the lower ones."""

    NONE = 0
    READ = 1
    USER = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """The name of the role in the configuration, the tokens file and replies, e.g. ``admin``."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Who sends a request, and what they may do.

    :ivar uid: their user id on this node; None when they have none here (a token, an unknown peer).
    :ivar user: their name; empty for an anonymous caller.
    :ivar via: how they connected, for the log and `whoami`: ``unix``, ``tcp 10.0.0.1:40312``, ``node 3``.
    """

    JSON: ClassVar[tuple[str, ...]] = ("role", "user", "uid", "via")

    role: Role
    user: str
    uid: int | None
    via: str

    def owns(self, uid: int) -> bool:
        """Whether this caller may inspect processes of ``uid`` and act on them."""
        return self.role >= Role.ADMIN or (self.role >= Role.USER and self.uid == uid)


def is_system_user(uid: int | None) -> bool:
    """Whether ``uid`` is root or another user of the system itself, not a person: it is below 1000."""
    return uid is not None and uid < FIRST_USER
