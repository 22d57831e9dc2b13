"""The words of a request as numbers and names, or one sentence that says what is wrong with them."""

from __future__ import annotations

import signal

from libgomd.errors import MalformedRequest, NotAllowed
from libgomd.model import Caller

#: Far above the largest pid a Linux kernel gives (PID_MAX_LIMIT, 4194304): there begin the numbers of jobs
#: that have no process at home.
MAX_PID = 2**31 - 1
#: The largest number a job can have.
MAX_JOB = 2**31 - 1


def whole_number(text: str, what: str, least: int, most: int) -> int:
    """
    Return the number in ``text``.

    :raises MalformedRequest: it is none, or outside ``least`` to ``most``.
    """
    digits = text[1:] if text.startswith(("-", "+")) else text
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and least <= int(text) <= most:
        return int(text)
    raise MalformedRequest(f"{what} is a whole number from {least} to {most}, not {text[:40]}")


def pid(text: str) -> int:
    """Return a process id. :raises MalformedRequest: it is none."""
    return whole_number(text, "PID", 1, MAX_PID)


def peer(caller: Caller) -> int:
    """
    Return the id of the node whose daemon asks, as its certificate says.

    :raises NotAllowed: it is no daemon that asks.
    """
    word, _, number = caller.via.partition(" ")
    if word == "node" and number.isascii() and number.isdigit():
        return int(number)
    raise NotAllowed("only the daemons of the cluster say this to each other, over their own port")


def seconds(text: str, what: str, least: float, most: float) -> float:
    """Return a duration in seconds. :raises MalformedRequest: it is none, or out of range."""
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
