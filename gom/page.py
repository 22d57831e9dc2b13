"""
The command `gom page`: opens gomd's page in a browser, signed in as the user who says it.

The one-time code stands in the fragment of a URL in a file that only this user can read: it is on no command
line, and no server sees it in a request. The browser opens that file, which leads it to the page; the page
exchanges the code by POST.
"""

from __future__ import annotations

import html
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from libgomd.endpoints import Endpoint
from libgomd.errors import MalformedReply, NotPossible
from libgomd.linesocket import dial
from libgomd.private import create_private, make_private_directory
from libgomd.wire.lines import Request

USAGE: Final = """\
usage: gom page [--no-open]

  --no-open  open nothing, only say which file leads to the page

Opens gomd's page in your browser, signed in as you: it needs the unix socket of the daemon, and its [http]
endpoint. The file that is opened is yours alone and good once, for a minute.
"""
#: Seconds to wait for the daemon.
ANSWER_TIMEOUT: Final = 5.0
#: Programs that open a file in the browser of the user's choice.
OPENERS: Final = ("xdg-open", "sensible-browser", "x-www-browser")
FILE_NAME: Final = "gomd-page.html"


def page(endpoints: Sequence[Endpoint], opens: bool) -> str:
    """
    Get a code, write the file that leads to the page, and open it. Blocks.

    :param opens: whether a browser is started. :returns: what to tell the user.
    :raises GomdError: the daemon refused, or there is none. :raises NotPossible: the file cannot be written.
    """
    url, code = _ask(endpoints)
    path = write_file(url, code)
    if opens and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        for name in OPENERS:
            if program := shutil.which(name):
                subprocess.Popen(  # noqa: S603 - no shell; it goes on when gom has ended
                    [program, path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
                return f"opened {url}; if nothing comes up, open file://{path} within a minute"
    return f"open file://{path} in a browser of this machine within a minute: it leads to {url}"


def _ask(endpoints: Sequence[Endpoint]) -> tuple[str, str]:
    line = dial(endpoints, ANSWER_TIMEOUT)
    try:
        line.ask(Request("format", ("json",)), ANSWER_TIMEOUT)
        status = line.ask(Request("page"), ANSWER_TIMEOUT)
    finally:
        line.close()
    try:
        told = json.loads(status.text)
        return str(told["url"]), str(told["code"])
    except (ValueError, TypeError, KeyError) as error:
        raise MalformedReply("the answer to `page` is none of gomd's") from error


def directory() -> str:
    """Return the directory of the file: the runtime directory of the user, else a cache of their own."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.path.isdir(runtime):
        return os.path.join(runtime, "gomd")
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(cache if os.path.isabs(cache) else os.path.expanduser("~/.cache"), "gomd")


def write_file(url: str, code: str) -> str:
    """
    Write the file that leads a browser to ``url`` with ``code``, mode 0600, and return its path.

    It takes the place of the one before.

    :raises NotPossible: it cannot be written, or others could replace it.
    """
    path = os.path.join(directory(), FILE_NAME)
    there = html.escape(f"{url}#code={code}", quote=True)
    text = (
        '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">\n'
        "<title>gomd</title>\n"
        f'<meta http-equiv="refresh" content="0; url={there}">\n'
        f'<p><a href="{there}">gomd</a></p>\n'
    )
    try:
        make_private_directory(os.path.dirname(path))
        descriptor = create_private(path)
    except OSError as error:
        raise NotPossible(f"{path} cannot be written ({error.strerror}): set XDG_RUNTIME_DIR") from error
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        with suppress(OSError):
            os.unlink(path)
        raise NotPossible(f"{path} cannot be written: {error.strerror}") from error
    finally:
        os.close(descriptor)
    return path
