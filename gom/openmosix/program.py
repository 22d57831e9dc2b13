"""How the old commands begin and end: the daemon they ask, what they say on stderr, their exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from libgomd import blocking
from libgomd.errors import ConfigError, ConnectionLost, GomdError, MalformedReply, NotFound
from libgomd.model import Node
from libgomd.wire.text import printable

DONE, FAILED, NO_DAEMON, INTERRUPTED, BROKEN_PIPE = 0, 1, 3, 130, 141

#: What a command does with its arguments; returns the exit status.
Work = Callable[[Sequence[str]], int]


class Failed(Exception):
    """It cannot be done; the text is what openMosix's command said then. The exit status is 1."""


def run(name: str, work: Work, argv: Sequence[str]) -> int:
    """Do ``work`` and return the exit status; whatever goes wrong is one or two lines on stderr. Blocks."""
    try:
        status = work(argv)
        sys.stdout.flush()
        return status
    except Failed as error:
        return _say(str(error), FAILED)
    except (ConnectionLost, MalformedReply, ConfigError) as error:
        return _say(f"{name}: {printable(str(error))}", NO_DAEMON)
    except GomdError as error:
        return _say(f"{name}: {printable(str(error))}", FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough. Python would complain about its own buffer at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        return _say(f"{name}: the answer cannot be written: {error.strerror}", FAILED)


def _say(sentence: str, status: int) -> int:
    print(sentence, file=sys.stderr)
    return status


def connect() -> blocking.Client:
    """Connect to the daemon that `gom` would ask, with ``$GOMD_TOKEN`` if it is set. Blocks."""
    return blocking.connect(token=os.environ.get("GOMD_TOKEN") or None)


def find_node(gomd: blocking.Client, key: str) -> Node:
    """
    Return a node by id or name, this one for an empty ``key``. Blocks.

    :raises Failed: there is none.
    """
    try:
        return gomd.node(key)
    except NotFound:
        number = key.isascii() and key.isdigit()
        which = f"Node #{key}" if number else f"Node at {printable(key)}"
        raise Failed(f"{which} is not configured") from None
