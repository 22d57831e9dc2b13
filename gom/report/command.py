"""The command `gom report`: its options, and the file that it writes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import Final

from libgomd.blocking import connect
from libgomd.durable import replace_atomically
from libgomd.errors import MalformedRequest, NotPossible
from libgomd.installation import installation
from libgomd.wallclock import Wall
from libgomd.wire.moments import parse_moment

REPORT_USAGE: Final = """\
usage: gom report [--since T] [--until T] [-o FILE]

  --since T  when to begin; 12 hours ago unless said
  --until T  when to end; now unless said
  -o FILE    the HTML file to write, report.html unless said; only you may read it

  T as for `gom history`. The file has charts of every node, its downtimes and busiest processes, and the
  events; it needs nothing else and can be printed. Drawing needs pygal:
  apt install python3-pygal, or pip install 'gomd[report]'
"""
DEFAULT_SINCE: Final = 12 * 3600.0
DEFAULT_FILE: Final = "report.html"


def report(endpoint: str, token: str, words: Sequence[str], wall: Wall) -> str:
    """
    Write a report and return a sentence about it. Blocks.

    :param words: the options, with ``HH:MM`` already in seconds.
    :raises MalformedRequest: the options are wrong. :raises NotPossible: it cannot be drawn or written.
        Other errors as in `libgomd.blocking`.
    """
    given = _options(words)
    now = wall()
    until = parse_moment(given["--until"], now, "--until") if "--until" in given else now
    since = parse_moment(given["--since"], now, "--since") if "--since" in given else until - DEFAULT_SINCE
    if since >= until:
        raise MalformedRequest("--since has to be before --until")
    try:
        from gom.report.page import page
    except ImportError as error:
        raise NotPossible(
            f"a report is drawn with {error.name}: {installation().libraries('report')}"
        ) from error
    from gom.report.facts import collect

    with connect(endpoint or None, token or None) as client:
        facts = collect(client, since, until)
    path = given.get("-o", DEFAULT_FILE)
    try:
        write_private(path, page(facts).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise NotPossible(f"{path} cannot be written: {error.strerror}") from error
    return f"{path}: {len(facts.nodes)} nodes, {len(facts.events)} events"


def _options(words: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, is_joined, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if option not in ("--since", "--until", "-o"):
            raise MalformedRequest(f"report has no option {word}: see `gom report --help`")
        if option in given:
            raise MalformedRequest(f"{option} is given twice: give it once")
        if not is_joined:
            if not rest:
                raise MalformedRequest(f"{option} needs a value")
            value = rest.pop(0)
        given[option] = value
    return given


def write_private(path: str, data: bytes) -> None:
    """
    Write a file that only its owner may read, a new one in the place of an older one: that may be another
    user's, who would read it then, or be open already.

    :raises OSError: it cannot be written, or is a link, a device or anything else but a plain file.
    """
    try:
        found = os.lstat(path).st_mode
    except FileNotFoundError:
        found = stat.S_IFREG
    if stat.S_ISLNK(found):
        raise OSError(errno.ELOOP, "it is a symbolic link", path)
    if not stat.S_ISREG(found):
        raise OSError(errno.EINVAL, "it is no plain file", path)
    replace_atomically(path, data)
