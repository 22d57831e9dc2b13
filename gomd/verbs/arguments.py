"""Parses the arguments of requests: numbers, process ids, job names, durations, signals."""

from __future__ import annotations

import signal

from libgomd.errors import MalformedRequest, NotAllowed
from libgomd.model import Caller

#: Largest process id that is accepted. The kernel gives none above 4194304 (PID_MAX_LIMIT); the numbers above
#: it stand for jobs that have no process at home.
MAX_PID = 2**31 - 1
#: The largest number a job can have.
MAX_JOB = 2**31 - 1


def whole_number(text: str, what: str, least: int, most: int) -> int:
    """
    Return the number in ``text``.

    :raises MalformedRequest: it is not a whole number from ``least`` to ``most``.
    """
    digits = text[1:] if text.startswith(("-", "+")) else text
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and least <= int(text) <= most:
        return int(text)
    raise MalformedRequest(f"{what} is a whole number from {least} to {most}, not {text[:40]}")


def pid(text: str) -> int:
    """Return a process id. :raises MalformedRequest: ``text`` is not one."""
    return whole_number(text, "PID", 1, MAX_PID)


def peer(caller: Caller) -> int:
    """
    Return the id of the node whose daemon is the caller, from its certificate.

    :raises NotAllowed: the caller is not a daemon.
    """
    word, _, number = caller.via.partition(" ")
    if word == "node" and number.isascii() and number.isdigit():
        return int(number)
    raise NotAllowed("only the daemons of the cluster may send this request, over the peers' port")


def seconds(text: str, what: str, least: float, most: float) -> float:
    """Return a duration in seconds. :raises MalformedRequest: it is not a number in the range."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if least <= value <= most:
        return value
    raise MalformedRequest(f"{what} is a number of seconds from {least:g} to {most:g}, not {text[:40]}")


def signal_number(text: str) -> int:
    """
    Return the number of a signal given by number or name, with or without SIG.

    :raises MalformedRequest: there is no such signal.
    """
    name = text.upper().removeprefix("SIG")
    if name.isascii() and name.isdigit():
        return whole_number(name, "SIG", 1, 64)
    found = getattr(signal.Signals, f"SIG{name}", None) if name.isascii() and name.isalnum() else None
    if found is None:
        raise MalformedRequest(
            f"there is no signal {text[:40]}: give a name (TERM, KILL, HUP) or a number 1 to 64"
        )
    return int(found)
