"""Names in the directory of a job's carried files."""

from __future__ import annotations

from typing import Final

FILES: Final = "files"
BASE: Final = "base"
