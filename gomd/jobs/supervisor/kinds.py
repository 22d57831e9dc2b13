"""The bytes that ask the fork server for a supervisor, one for each kind. The daemon imports them alone."""

from __future__ import annotations

from typing import Final

#: A supervisor with namespaces of its own, whose job can move, and one without.
NAMESPACE: Final = b"n"
PLAIN: Final = b"p"
