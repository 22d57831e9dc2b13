"""The gomd.ini that `gom init` writes, as text."""

from __future__ import annotations

from typing import Final, NamedTuple

from gom.twistd import twistd_name
from libgomd.errors import ConfigError
from libgomd.private import open_private

PAGE_ENDPOINT: Final = "tcp:127.0.0.1:2980"
#: Characters that gomd.ini would read as the end of a value, or as more than one.
_SPECIAL: Final = "#'\",;"
#: The line by which the file of a package (packaging/debian/default.ini) says that it may be replaced.
UNSET: Final = b"# Nothing is set here: `gom init` replaces this file."
#: Largest size of such a file.
_MAX_UNSET_BYTES: Final = 65536


class NewNode(NamedTuple):
    """
    A new node, as its gomd.ini describes it.

    :ivar seeds: HOST:PORT of others to ask. :ivar key: the absolute path of the key file. :ivar agreed: what
        all nodes of its cluster have alike, as ``section.name`` and value.
    """

    name: str
    address: str
    key: str
    seeds: tuple[str, ...] = ()
    multicast: bool = True
    page: bool = False
    node_id: int | None = None
    state_dir: str = ""
    agreed: tuple[tuple[str, str], ...] = ()


def check_path(path: str) -> str:
    """Return ``path`` if it can stand in gomd.ini. :raises ConfigError: it has characters that cannot."""
    if not path.isprintable() or path != path.strip() or any(each in path for each in _SPECIAL):
        raise ConfigError(
            [f"{path!r} cannot stand in gomd.ini: choose a path without commas, quotes, # and ;"]
        )
    return path


def sets_nothing(path: str) -> bool:
    """
    Return whether ``path`` is the plain file of comments that a package installs: it may be replaced. Blocks.

    Any other file is somebody's work; so is this one once a setting is in it. False for what cannot be read.
    """
    try:
        with open(open_private(path), "rb") as file:
            lines = file.read(_MAX_UNSET_BYTES).splitlines()
    except OSError:
        return False
    said = [line for line in map(bytes.strip, lines) if line and not line.startswith(b"#")]
    return UNSET in lines and not said


def text_of(node: NewNode) -> str:
    """Return the text of gomd.ini."""
    lines = [
        "# gomd.ini of this node, written by `gom init`. What is not here has its default: gomd.ini(5)",
        f"# has every setting. After a change: `{twistd_name()} gomd --check`, then restart or reload gomd.",
        "",
        "[node]",
        "# Its name in the cluster; its number comes from its address unless `id` says another.",
        f"name = {node.name}",
    ]
    lines += [f"id = {node.node_id}"] if node.node_id else []
    if node.state_dir:
        lines += ["# Where the daemon keeps its socket, jobs and samples.", f"state_dir = {node.state_dir}"]
    lines += _agreed(node, "node")
    lines += [
        "",
        "[peers]",
        "# Where the other nodes reach this one: udp and tcp port 5428.",
        f"address = {node.address}",
        "# The cluster's secret, the same file on every node. Whoever can read it is root on all of them.",
        f"key_file = {node.key}",
        "# How the nodes find each other: by multicast on one network, or by asking seeds (HOST:PORT, ...).",
        f"discovery = {'yes' if node.multicast else 'no'}",
    ]
    lines += [f"seeds = {', '.join(node.seeds)}"] if node.seeds else []
    lines += _agreed(node, "peers")
    if node.page:
        lines += [
            "",
            "[http]",
            "# The page, the API and /metrics, for this machine only; `gom page` opens it.",
            f"endpoint = {PAGE_ENDPOINT}",
        ]
    return "\n".join([*lines, ""])


def _agreed(node: NewNode, section: str) -> list[str]:
    """Return the lines of a section for what all nodes of the cluster have alike."""
    found = [
        f"{name.removeprefix(section + '.')} = {value}"
        for name, value in node.agreed
        if name.startswith(f"{section}.")
    ]
    return ["# As on the other nodes of this cluster.", *found] if found else []
