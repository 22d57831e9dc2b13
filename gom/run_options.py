"""The command lines of `gom run` and `gom attach`: their help, and what they say as values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gom.escapes import DEFAULT_ESCAPE, parse_escape
from libgomd.errors import MalformedRequest

RUN_USAGE = """\
usage: gom run [-n NODE | -b | -j 1-4,7] [-l | -L] [-t | -T] [-e CHAR] [--no-input] [--detach]
               [--mem SIZE] [--mem-max SIZE] [--carry PATH ...]
               [--shared-tmp] COMMAND [ARG ...]

  -n NODE      on that node, by id or name
  -b           on the best node (the default)
  -j 1-4,7     on the best of these nodes, by id
  -l, -L       -l: lock it, so that balancing leaves it where it is; -L: do not lock it
  -t, -T       -t: give it a terminal of its own; -T: give it none. By default it gets one if gom has one
               and is in its foreground.
  -e CHAR      escape character of a job with a terminal, ^X for a control character; default ~. At the
               start of a line ~. ends the job and leaves, ~^Z suspends gom, ~? tells more; none: no escapes
  --no-input   read nothing: the command's input is empty, as with ssh's -n. For loops such as
               `while read x; do gom run --no-input ...; done < list`, whose input gom would read
  --detach     print the number of the job and return; `gom attach JOB` shows its output later
  --mem SIZE   memory it will need, such as 500M: only a node with that much free memory is chosen; with -n
               it is refused when that node has less
  --mem-max SIZE
               limit of its memory, swap included: the kernel kills a process of a job that exceeds it
  --shared-tmp let it see the /tmp, /var/tmp and /dev/shm of its node. By default it has its own, which move
               with it and are removed with it; what its command line names there it sees anyway.
  --carry PATH
               a file or directory that travels with the job wherever it runs, and comes home at its end; may
               be given more than once. Until then the job works on a copy. A file that was changed here
               meanwhile is kept, and the job's version stands beside it as NAME.gomd-HOME-JOB

Ctrl-C goes to the command; without a terminal of its own a second one within a second asks, and a third
one kills it. Ctrl-Z stops both, and fg or bg continues both.

Exit status: that of the command, 128 + the signal's number if one ended it; 127 no such command,
126 it cannot be executed, 1 the daemon refused, 3 no daemon there.
"""
ATTACH_USAGE = """\
usage: gom attach [-e CHAR] [--no-input] JOB

  -e CHAR     as with `gom run`; ~. leaves a detached job alone
  --no-input  read nothing: the job gets the end of its input
  JOB         the number of a job of yours, as `gom jobs` shows it

Connects to the streams of the job until it ends; the output that was kept is shown first. Ctrl-C leaves a
detached job alone; any other job gets it, as with `gom run`.

Exit status: as for `gom run`.
"""
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Wanted(NamedTuple):
    """The parsed command line of `gom run`."""

    argv: tuple[str, ...]
    node: str = ""
    nodes: str = ""
    lock: bool | None = None
    tty: bool | None = None
    detach: bool = False
    memory: int | None = None
    memory_max: int | None = None
    escape: int | None = DEFAULT_ESCAPE
    no_input: bool = False
    shared_tmp: bool = False
    carry: tuple[str, ...] = ()


class WantedAttachment(NamedTuple):
    """The parsed command line of `gom attach`."""

    job: str
    escape: int | None = DEFAULT_ESCAPE
    no_input: bool = False


def parse(words: Sequence[str]) -> Wanted:
    """
    Parse ``words``, the arguments after ``run``.

    :raises MalformedRequest: an option is unknown, lacks its value or conflicts with another one; or the
        command is missing.
    """
    rest = list(words)
    found: dict[str, Any] = {}
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        option, equals, value = option.partition("=") if option.startswith(_LONG) else (option, "", "")
        if option in ("-n", "-j", "-e", "--mem", "--mem-max", "--carry"):
            if not equals:
                if not rest:
                    raise MalformedRequest(f"{option} needs a value")
                value = rest.pop(0)
            if not value and option in ("-n", "-j", "--carry"):
                raise MalformedRequest(f"{option} needs a value, not an empty word")
            if option == "--carry":
                found["carry"] = (*found.get("carry", ()), value)
            elif option in _SIZES:
                found[_SIZES[option]] = size(value, option)
            elif option == "-e":
                found["escape"] = parse_escape(value)
            else:
                found["node" if option == "-n" else "nodes"] = value
        elif option in _FLAGS:
            found.update(_FLAGS[option])
        else:
            raise MalformedRequest(f"there is no option {option} of run")
    if "node" in found and "nodes" in found:
        raise MalformedRequest("-n and -j do not go together")
    if found.get("no_input") and found.get("tty"):
        raise MalformedRequest("--no-input and -t do not go together: a terminal without keys has no end")
    if not rest or not rest[0]:
        raise MalformedRequest("a command is missing: gom run COMMAND ...")
    return Wanted(tuple(rest), **found)


def parse_attachment(words: Sequence[str]) -> WantedAttachment:
    """
    Parse ``words``, the arguments after ``attach``.

    :raises MalformedRequest: an option is unknown or lacks its value, or it is not one job.
    """
    rest = list(words)
    found: dict[str, Any] = {}
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        if option == "-e" and rest:
            found["escape"] = parse_escape(rest.pop(0))
        elif option == "-e":
            raise MalformedRequest("-e needs a value")
        elif option == "--no-input":
            found["no_input"] = True
        else:
            raise MalformedRequest(f"there is no option {option} of attach")
    if len(rest) != 1:
        raise MalformedRequest("attach takes the number of one job: gom attach JOB")
    return WantedAttachment(rest[0], **found)


_LONG = ("--mem", "--carry")
_SIZES = {"--mem": "memory", "--mem-max": "memory_max"}
_FLAGS: dict[str, dict[str, Any]] = {
    "-b": {}, "-l": {"lock": True}, "-L": {"lock": False}, "-t": {"tty": True}, "-T": {"tty": False},
    "--detach": {"detach": True}, "--no-input": {"no_input": True}, "--shared-tmp": {"shared_tmp": True},
}  # fmt: skip


def size(text: str, option: str = "--mem") -> int:
    """Return the bytes in ``text``: ``500M``, ``2g``, ``4096``. :raises MalformedRequest: it is no size."""
    digits = text.rstrip("KMGTkmgtiB").strip()
    unit = text[len(digits) :].upper().removesuffix("B").removesuffix("I")
    if digits.isascii() and digits.isdigit() and len(digits) < 16 and unit in _UNITS:
        found = int(digits) * _UNITS[unit]
        if found < 1 << 63:
            return found
    raise MalformedRequest(f"{option} takes a size such as 500M or 2G, not {text[:40]}")
