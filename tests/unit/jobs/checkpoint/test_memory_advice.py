"""Marks on memory that criu loses, in captured texts of smaps."""

from __future__ import annotations

from pathlib import Path

import pytest

from gomd.jobs.checkpoint.memory_advice import reasons_to_stay

_SMAPS = """\
55d0-55d1 r--p 00000000 08:01 1234                     /usr/bin/python3.11
Size:                  4 kB
ProtectionKey:         {key}
VmFlags: rd mr mw me {flags}
7ffd-7ffe r-xp 00000000 00:00 0                        [vdso]
ProtectionKey:         0
VmFlags: rd ex mr mw me de {vdso}
"""


def _reasons(proc: Path, criu: str, key: int = 0, flags: str = "sd", vdso: str = "sd") -> list[str]:
    (proc / "300").mkdir()
    (proc / "300" / "smaps").write_text(_SMAPS.format(key=key, flags=flags, vdso=vdso))
    return list(reasons_to_stay([300, 300, 301], criu, str(proc)))


@pytest.mark.parametrize(
    ("criu", "key", "flags", "vdso", "reason"),
    [
        ("4.2.1", 0, "sd", "sd", ""),
        ("4.2.1", 0, "wf sd", "sd", ""),
        ("4.1.1", 0, "wf sd", "sd", "wiped when it forks, which criu 4.1.1 would not do"),
        ("", 0, "wf sd", "sd", "wiped when it forks, which this criu would not do"),
        ("4.2.1", 2, "sd", "sd", "a protection key (pkey_mprotect)"),
        ("4.2.1", 0, "sd sl", "sd", "sealed memory (mseal)"),
        ("4.2.1", 0, "sl sd", "sd", "sealed memory (mseal)"),
        ("4.2.1", 0, "sd", "sd sl", ""),  # the kernel's own
    ],
)
def test_marks(tmp_path: Path, criu: str, key: int, flags: str, vdso: str, reason: str) -> None:
    """Each is named once; what the kernel seals itself in every process does not count."""
    found = _reasons(tmp_path, criu, key, flags, vdso)
    assert len(found) == bool(reason), found
    assert reason in "".join(found)
