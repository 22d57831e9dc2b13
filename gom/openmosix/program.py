"""The parts that openMosix's commands share: connection to the daemon, error messages, exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from libgomd import blocking
from libgomd.errors import ConfigError, ConnectionLost, GomdError, MalformedReply, NotFound
from libgomd.model import Node
from libgomd.stdfds import discard_output, open_closed_streams
from libgomd.wire.text import printable

DONE, FAILED, NO_DAEMON, INTERRUPTED, BROKEN_PIPE = 0, 1, 3, 130, 141

#: The function of a command: takes its arguments, returns its exit status.
Work = Callable[[Sequence[str]], int]


class Failed(Exception):
    """The command failed with exit status 1; the text is the message of openMosix's command."""


def run(name: str, work: Work, argv: Sequence[str]) -> int:
    """Do ``work`` and return the exit status. Errors become one or two lines on stderr. Blocks."""
    open_closed_streams()
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
        discard_output()
        return BROKEN_PIPE
    except OSError as error:
        discard_output()
        return _say(f"{name}: the answer cannot be written: {error.strerror}", FAILED)


def _say(sentence: str, status: int) -> int:
    print(sentence, file=sys.stderr)
    return status


def connect() -> blocking.Client:
    """Connect to the daemon that `gom` would ask, with ``$GOMD_TOKEN`` if it is set. Blocks."""
    return blocking.connect(token=os.environ.get("GOMD_TOKEN") or None)


def find_node(gomd: blocking.Client, key: str) -> Node:
    """
    Return a node by id or name; this one if ``key`` is empty. Blocks.

    :raises Failed: there is no such node.
    """
    try:
        return gomd.node(key)
    except NotFound:
        number = key.isascii() and key.isdigit()
        which = f"Node #{key}" if number else f"Node at {printable(key)}"
        raise Failed(f"{which} is not configured") from None
