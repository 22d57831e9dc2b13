"""The version of gomd and libgomd, which are released together, and of the line protocol."""

from typing import Final

VERSION: Final = "0.1.0"
#: Raised when a client of the older line protocol could no longer understand an answer.
PROTOCOL: Final = 1
