"""The settings that all nodes of a cluster have alike, as an inviting node tells them to a new one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Final

from libgomd.installation import installation

#: What may be told, and what its value looks like in gomd.ini. Nothing else gets there.
_VALUES: Final[Mapping[str, re.Pattern[str]]] = {
    "node.sspeed": re.compile(r"[1-9][0-9]{0,4}"),
    "peers.engine": re.compile(r"(?:heartbeat|swim|serf)(?:, (?:heartbeat|swim|serf))?"),
    "peers.heartbeat": re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,6})?"),
    "peers.max_nodes": re.compile(r"[1-9][0-9]{0,4}"),
    "peers.multicast": re.compile(r"[0-9a-fA-F.:\[\]]{1,60}(?:, [0-9a-fA-F.:\[\]]{1,60})?"),
    "peers.port": re.compile(r"[1-9][0-9]{0,4}"),
    "peers.serf_rpc": re.compile(r"[A-Za-z0-9.:\[\]-]{1,260}"),
}
_SERF: Final = "/usr/bin/serf"

Agreed = tuple[tuple[str, str], ...]


def checked(told: object) -> Agreed:
    """
    Return the settings in what another node told, as ``section.name`` and value.

    What is not known here, or is no value of it, is left out: `unknown` says so.
    """
    if not isinstance(told, dict):
        return ()
    return tuple(
        (name, told[name])
        for name, pattern in _VALUES.items()
        if isinstance(told.get(name), str) and pattern.fullmatch(told[name])
    )


def unknown(told: object) -> list[str]:
    """Return the names of what `checked` leaves out, a few of them and each only if it can be printed."""
    if not isinstance(told, dict):
        return []
    known = dict(checked(told))
    return [name for name in list(told)[:10] if name not in known and re.fullmatch(r"[a-z_.]{1,40}", name)]


def is_there(name: str) -> bool:
    """Whether this machine has a Python package, or the program at an absolute path."""
    return (shutil.which(name) if name.startswith("/") else find_spec(name)) is not None


def still_needed(agreed: Mapping[str, str], has: Callable[[str], bool] = is_there) -> Iterator[str]:
    """Yield a sentence for everything that this node still needs for the settings of its cluster."""
    engines = agreed.get("peers.engine", "heartbeat").split(", ")
    if "swim" in engines and not has("kinship"):
        yield f"before that: the engine swim needs kinship: {installation().libraries('swim')}"
    if "serf" in engines and not has("msgpack"):
        yield f"before that: the engine serf needs msgpack: {installation().libraries('serf')}"
    if "serf" not in engines:
        return
    if rpc := agreed.get("peers.serf_rpc"):
        yield (
            f"before that: gomd asks a Serf agent of yours at {rpc}: start one for this node, and set "
            "[peers] serf_auth_file if it has an auth key"
        )
    elif not has(_SERF):
        yield f"before that: the engine serf needs {_SERF}: apt install serf"
