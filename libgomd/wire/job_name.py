"""The name of a job in the whole cluster, ``HOME-JOB``: built and read here and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from libgomd.errors import MalformedJobName

#: The largest node id (`libgomd.model.MAX_NODE_ID`, which the process beside a job does not import).
_MAX_HOME: Final = 65535
_TEXT: Final = re.compile(r"([1-9][0-9]{0,4})-([1-9][0-9]{0,14})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class JobName:
    """
    A job's name. ``str`` of it is what stands in requests, in file names and on the wire: ``3-17``.

    :ivar home: the id of the node where the job was asked for. :ivar number: its number there.
    """

    home: int
    number: int

    def __str__(self) -> str:
        return f"{self.home}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> JobName:
        """Return the name that ``text`` is. :raises MalformedJobName: for any other text."""
        found = _TEXT.fullmatch(text)
        if found is None or int(found[1]) > _MAX_HOME:
            raise MalformedJobName(f"a job of another node is named HOME-JOB, such as 3-17, not {text[:40]}")
        return cls(int(found[1]), int(found[2]))
