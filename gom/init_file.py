"""The gomd.ini that `gom init` writes, as text."""

from __future__ import annotations

from typing import Final, NamedTuple

from libgomd.errors import ConfigError

PAGE_ENDPOINT: Final = "tcp:127.0.0.1:2980"
#: Characters that gomd.ini would read as the end of a value, or as more than one.
_SPECIAL: Final = "#'\",;"


class NewNode(NamedTuple):
    """
    A new node, as its gomd.ini describes it.

    :ivar seeds: HOST:PORT of others to ask. :ivar key: the absolute path of the key file.
    """

    name: str
    address: str
    key: str
    seeds: tuple[str, ...] = ()
    multicast: bool = True
    page: bool = False
    node_id: int | None = None
    state_dir: str = ""


def check_path(path: str) -> str:
    """Return ``path`` if it can stand in gomd.ini. :raises ConfigError: it has characters that cannot."""
    if not path.isprintable() or path != path.strip() or any(each in path for each in _SPECIAL):
        raise ConfigError(
            [f"{path!r} cannot stand in gomd.ini: choose a path without commas, quotes, # and ;"]
        )
    return path


def text_of(node: NewNode) -> str:
    """Return the text of gomd.ini."""
    lines = [
        "# gomd.ini of this node, written by `gom init`. What is not here has its default: gomd.ini(5)",
        "# has every setting. After a change: `twistd gomd --check`, then restart or reload the daemon.",
        "",
        "[node]",
        "# Its name in the cluster; its number is the low 16 bits of its address unless `id` says another.",
        f"name = {node.name}",
    ]
    lines += [f"id = {node.node_id}"] if node.node_id else []
    if node.state_dir:
        lines += ["# Where the daemon keeps its socket, jobs and samples.", f"state_dir = {node.state_dir}"]
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
    if node.page:
        lines += [
            "",
            "[http]",
            "# The page, the API and /metrics, for this machine only; `gom page` opens it.",
            f"endpoint = {PAGE_ENDPOINT}",
        ]
    return "\n".join([*lines, ""])
