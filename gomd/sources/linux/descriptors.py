"""Reads how many files are open and connections are tracked, next to their limits, and since when it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gomd.sources.files import ProcRoot
from gomd.sources.linux.numbers import decimal, whole
from libgomd.errors import GomdError, SourceUnavailable
from libgomd.model import Measure
from libgomd.wire.text import printable_name

_FIREWALL: Final = "sys/net/netfilter/nf_conntrack_"


def read_descriptors(root: ProcRoot) -> Iterator[Measure]:
    """Read open files, and tracked connections where the kernel tracks any. Blocks."""
    yield from parse_file_nr(_text(root, "sys/fs/file-nr"))
    for name, text in (("count", "connections that are tracked"), ("max", "connections that can be tracked")):
        number = _text(root, f"{_FIREWALL}{name}").strip()
        if number.isascii() and number.isdigit():
            to = "conntrack_connections" if name == "count" else "conntrack_limit"
            yield Measure(to, float(int(number[:18])), text=text, kept=name == "count")


def parse_file_nr(text: str) -> Iterator[Measure]:
    """Yield what /proc/sys/fs/file-nr says. :raises SourceUnavailable: it is cut or has no numbers."""
    if not text:
        return
    try:
        opened, free, most = (whole(word) for word in text.split())
    except ValueError as error:
        raise SourceUnavailable(f"/proc/sys/fs/file-nr is not understood: {error}") from error
    if opened is not None and free is not None:
        yield Measure("open_files", float(max(0, opened - free)), text="files that are open", kept=True)
    if most is not None:
        yield Measure("open_files_limit", float(most), text="files that can be open")


def read_uptime(root: ProcRoot) -> Iterator[Measure]:
    """Read the uptime and the release of the kernel. Blocks. :raises SourceUnavailable: not understood."""
    text = root.sample_text("uptime")
    try:
        seconds = decimal(text.split()[0], 1e10)
    except (ValueError, IndexError) as error:
        raise SourceUnavailable(f"/proc/uptime is not understood: {error}") from error
    if seconds is not None:
        yield Measure("uptime_seconds", seconds, text="time since the kernel was started")
    release = _text(root, "sys/kernel/osrelease").strip()
    if release:
        yield Measure(
            "kernel_info", 1.0, {"release": printable_name(release[:100].encode())},
            text="always 1, labelled with the release of the kernel",
        )  # fmt: skip


def _text(root: ProcRoot, path: str) -> str:
    try:
        return root.read(path).decode("ascii", "replace")
    except GomdError:
        return ""
