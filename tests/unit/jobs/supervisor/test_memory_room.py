"""How much memory may be used for a copy: what is free, but for a reserve, and what cgroups allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from gomd.jobs.supervisor.memory_room import LEAST_RESERVED, available


def machine(home: Path, free: int, total: int, groups: dict[str, tuple[str, int, int]]) -> str:
    """Make a /proc for a process in the innermost of ``groups``: limit, use and cache of each."""
    proc, mounted = home / "proc", home / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal:  {total >> 10} kB\nMemAvailable:  {free >> 10} kB\n")
    (proc / "self" / "mountinfo").write_text(
        f"30 25 0:26 / {mounted} rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
    )
    (proc / "self" / "cgroup").write_text(f"0::/{max(groups, default='')}\n")
    for name in ("", *groups):
        directory = mounted / name
        directory.mkdir(exist_ok=True)
        (directory / "cgroup.procs").touch()
        if name:
            limit, used, cache = groups[name]
            (directory / "memory.max").write_text(f"{limit}\n")
            (directory / "memory.current").write_text(f"{used}\n")
            (directory / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\nactive_file 7\n")
    return str(proc)


@pytest.mark.parametrize(
    ("free", "total", "groups", "room"),
    [
        (8 << 30, 16 << 30, {}, 7 << 30),
        (8 << 30, 16 << 30, {"a": ("max", 5, 5)}, 7 << 30),
        (1 << 29, 16 << 30, {}, 0),
        (1 << 30, 1 << 30, {}, (1 << 30) - LEAST_RESERVED),
        (8 << 30, 16 << 30, {"a": ("1073741824", 1 << 29, 1 << 28)}, (3 << 28) - LEAST_RESERVED),
        (8 << 30, 16 << 30, {"a": ("max", 0, 0), "a/b": ("4096", 4096, 0)}, 0),
        (8 << 30, 16 << 30, {"a": (str(1 << 30), 0, 0), "a/b": ("max", 9, 9)}, (1 << 30) - LEAST_RESERVED),
    ],
)
def test_what_may_be_used(
    tmp_path: Path, free: int, total: int, groups: dict[str, tuple[str, int, int]], room: int
) -> None:
    """The least of all; a cgroup without a limit does not count."""
    assert available(machine(tmp_path, free, total, groups)) == room


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    """Nothing may be used."""
    assert available(str(tmp_path)) == 0
