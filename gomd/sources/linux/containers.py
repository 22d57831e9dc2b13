"""Reads the control group of a process, and recognises the container that it stands for."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gomd.sources.files import ProcRoot
from libgomd.wire.text import printable_bytes

_MAX_CGROUP_BYTES: Final = 16384
#: Characters of a path that are shown.
_MAX_PATH: Final = 1024
#: How runtimes name the group of a container. Ids are shown by their first twelve characters, as runtimes do.
_BY_ID: Final = (
    ("docker", re.compile(r"/docker[-/]([0-9a-f]{64})(?:\.scope)?(?:/|$)")),
    ("podman", re.compile(r"/libpod[-/]([0-9a-f]{64})(?:\.scope)?(?:/|$)")),
    ("cri-o", re.compile(r"/crio-([0-9a-f]{64})(?:\.scope)?(?:/|$)")),
    ("containerd", re.compile(r"(?:/|:)cri-containerd[-:]([0-9a-f]{64})(?:\.scope)?(?:/|$)")),
    ("containerd", re.compile(r"/nerdctl-([0-9a-f]{64})(?:\.scope)?(?:/|$)")),
    ("kubernetes", re.compile(r"/kubepods[^/]*/(?:.*/)?([0-9a-f]{64})(?:/|$)")),
)
_BY_NAME: Final = (
    ("lxc", re.compile(r"/lxc\.payload\.([^/]+)")),
    ("lxc", re.compile(r"/lxc/([^/]+)")),
    (
        "machine",
        re.compile(r"/machine\.slice/(?:machine-|systemd-nspawn@)([^/]+?)\.(?:scope|service)(?:/|$)"),
    ),
)
_ESCAPE: Final = re.compile(r"\\\\?x([0-9a-f]{2})")


class ControlGroup(NamedTuple):
    """
    Where a process belongs.

    :ivar path: of its control group, printable. :ivar container: ``RUNTIME:ID`` or ``RUNTIME:NAME`` of the
        container; empty when it is in none that is known.
    """

    path: str
    container: str


def read_group(root: ProcRoot, pid: int) -> ControlGroup | None:
    """Return the group of a process; None without control groups. Blocks. :raises OSError: it has ended."""
    return parse_group(root.peek_data(f"{pid}/cgroup", _MAX_CGROUP_BYTES))


def parse_group(data: bytes) -> ControlGroup | None:
    """
    Return the group in ``data``, a /proc/PID/cgroup.

    That of version 2 is meant, or the one that systemd names, or that of the memory controller: the first of
    them that is not the root.
    """
    found: dict[str, str] = {}
    for line in data.splitlines():
        number, _, rest = line.partition(b":")
        controllers, colon, path = rest.partition(b":")
        if not colon or not path.startswith(b"/"):
            continue
        text = printable_bytes(path).replace("\t", "\\x09")[:_MAX_PATH]
        kinds = [b"unified"] if number == b"0" and not controllers else controllers.split(b",")
        for kind in kinds:
            found.setdefault(kind.decode("latin-1"), text)
    ranked = [found[kind] for kind in ("unified", "name=systemd", "memory", "pids") if kind in found]
    if not ranked:
        return None
    own = next((each for each in ranked if each != "/"), ranked[0])
    return ControlGroup(own, next(filter(None, map(container_of, ranked)), ""))


def container_of(path: str) -> str:
    """Return the container that a control group stands for, empty when it is none that is known."""
    for runtime, pattern in _BY_ID:
        if (match := pattern.search(path)) is not None:
            return f"{runtime}:{match[1][:12]}"
    for runtime, pattern in _BY_NAME:
        if (match := pattern.search(path)) is not None:
            return f"{runtime}:{_ESCAPE.sub(lambda code: chr(int(code[1], 16)), match[1])}"
    return ""
