"""The usage texts of gom's own commands, for completion and manual pages. Each is what `--help` prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

#: An option at the beginning of a line of a usage text: `  -n NODE, ...`, with the word for its value.
_OPTION: Final = re.compile(r"^  (-[^\s,]+(?:, -\S+)*)(?: ([A-Z]+\b|1-4,7|LIST))?(?=\s|$)(.*)$", re.MULTILINE)
#: One more option within the explanation of another one: `-d  leave out ...   -t  no totals`.
_MORE: Final = re.compile(r"(?<=  )(-[A-Za-z]|--[a-z-]+)(?=\s|$)")
#: An option in the first lines of a usage text.
_NAMED: Final = re.compile(r"(?<![\w-])(--?[A-Za-z][a-z-]*)")
SUMMARIES: Final[Mapping[str, str]] = {
    "run": "run a command on the best node, or on one you name",
    "attach": "connect to a job again",
    "top": "every process of the cluster on one screen",
    "mon": "the nodes of the cluster as bars or a map",
    "do": "run a command of the administrator's, on many nodes",
    "page": "open the page in a browser, signed in as you",
    "init": "configure this machine as a node of a cluster",
    "invite": "let one more node join the cluster, by a code that is good once",
    "doctor": "what does not work, and what mends it",
    "mount": "make the tree a file system, with the names that openMosix had",
    "completion": "print what completes gom's words in a shell",
    "key": "make the secret that all nodes of a cluster share",
    "token": "give people and programs a role over tcp",
}


def usage_of(command: str) -> str:
    """Return the usage text of a command of gom's own, empty when it has none of its own."""
    if command in ("run", "attach"):
        from gom import run_options

        return run_options.RUN_USAGE if command == "run" else run_options.ATTACH_USAGE
    if command == "top":
        from gom.monitor import top

        return top.USAGE
    if command == "mon":
        from gom.monitor import mon

        return mon.USAGE
    if command == "page":
        from gom import page

        return page.USAGE
    if command == "do":
        from gom import do_options

        return do_options.USAGE
    if command == "init":
        from gom import init_options

        return init_options.USAGE
    if command == "invite":
        from gom import invite

        return invite.USAGE
    if command == "doctor":
        from gom import doctor

        return doctor.USAGE
    if command == "migrate":
        from gom.help_texts import MIGRATE_USAGE

        return MIGRATE_USAGE
    if command == "report":
        from gom.report import command as reporting

        return reporting.REPORT_USAGE
    if command == "mount":
        from gom.mount import command as mounting

        return mounting.USAGE
    if command == "completion":
        from gom import completion

        return completion.USAGE
    return ""


def options_of(usage: str) -> dict[str, tuple[str, str]]:
    """Return the options that a usage text explains: the word for the value, empty for none, and its text."""
    found: dict[str, tuple[str, str]] = {}
    for match in _OPTION.finditer(usage):
        text = match[3].strip()
        for option in match[1].split(", "):
            found[option] = (match[2] or "", re.split(r"   -|;|:", text)[0].strip())
        for option in _MORE.findall(match[3]):
            found.setdefault(option, ("", ""))
    for option in _NAMED.findall(usage.partition("\n\n")[0]):
        found.setdefault(option, ("", ""))
    return found
