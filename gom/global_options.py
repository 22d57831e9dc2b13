"""The options before the verb, how a wrong command line is told, and the exit statuses of `gom`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from libgomd.endpoints import Endpoint, default_endpoints, parse_endpoint
from libgomd.wire.text import printable

DONE, REFUSED, WRONG_USAGE, NO_DAEMON, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 130, 141


#: Words in place of a verb that ask about gom itself.
ABOUT_GOM = ("-h", "--help", "--version")


class WrongUsage(Exception):
    """The command line is wrong; the text says what is wrong."""


class GlobalOptions(NamedTuple):
    """The options before the verb, and the words from the verb on."""

    endpoint: str
    token: str
    json: bool
    words: tuple[str, ...]


def parse(argv: Sequence[str]) -> GlobalOptions:
    """
    Return the options in ``argv``. Everything after the verb belongs to the verb.

    :raises WrongUsage: an option is unknown or lacks its value, or there is no verb.
    """
    words = list(argv)
    endpoint, token, json = "", os.environ.get("GOMD_TOKEN", ""), False
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--":
            break
        if option in ABOUT_GOM:
            return GlobalOptions(endpoint, token, json, (option,))
        if option == "--json":
            json = True
        elif option in ("-c", "-t"):
            if not words:
                raise WrongUsage(f"{option} needs a value")
            if option == "-c":
                endpoint = words.pop(0)
                if not endpoint:  # "$UNSET": another daemon than the one that was meant
                    raise WrongUsage("-c needs an endpoint, not an empty word")
            else:
                token = words.pop(0)
        else:
            raise WrongUsage(f"there is no option {option}")
    if not words:
        raise WrongUsage("a verb is missing")
    if words[0].startswith("@") and len(words) == 1:
        raise WrongUsage(f"a verb is missing after {words[0]}")
    return GlobalOptions(endpoint, token, json, tuple(words))


def endpoints_of(options: GlobalOptions) -> tuple[Endpoint, ...]:
    """Return where the daemon may be, in the order to try. :raises ConfigError: ``-c`` names no endpoint."""
    if options.endpoint:
        return (parse_endpoint(options.endpoint),)
    return default_endpoints(os.environ, os.getuid())


def wants_help(options: GlobalOptions) -> bool:
    """Return whether the words ask about gom or a verb: ``--help``, ``VERB --help`` or ``help VERB``."""
    words = options.words[1:] if options.words[0].startswith("@") else options.words
    if words[0] in ABOUT_GOM:
        return True
    return len(words) == 2 and (
        words[1] in ("-h", "--help") or (words[0].lower() == "help" and not options.json)
    )


def fail(sentence: str, status: int) -> int:
    """Print ``sentence`` as an error and return ``status``."""
    print(f"gom: {printable(sentence)}", file=sys.stderr)
    return status
