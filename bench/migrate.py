"""
How long a process stands still while it moves, next to the bare sum of `criu dump` and `criu restore`.

The process tells itself: it notes the longest time between two of its steps, by the clock on the wall, for
criu lets its monotonic clock go on as if it had not stood still. Both go to a page
server under TLS on this machine.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.rows import Row, row
from gomd.jobs.criu import Criu
from libgomd.certificates import page_server_credentials, write_pem_files
from libgomd.derivation import ClusterKey
from tests.integration.criu_host import Host

SIZES: Final = (10, 100, 1000)
ROUNDS: Final = 3
#: Over the bare sum this is allowed: its 1.3, and as many milliseconds.
FACTOR, ALLOWANCE = 1.3, 50.0
_PROGRAM: Final = """
import time
memory = bytearray({size})
for place in range(0, len(memory), 4096):
    memory[place] = 1
print("ready", flush=True)
last, longest = time.time(), 0
while True:
    time.sleep(0.001)
    now = time.time()
    if now - last > 0.02 and now - last > longest:
        longest = now - last
        print(longest, flush=True)
    last = now
"""


def run() -> list[Row]:
    """Measure; nothing when this is not root or there is no criu that works here."""
    program = next(
        (p for p in ("/opt/gomd-criu/criu", shutil.which("criu")) if p and os.path.exists(p)), "criu"
    )
    why_not = Criu(program).check()
    if why_not:
        print(f"migrate: not measured: {why_not}")
        return []
    rows = []
    for size in SIZES:
        both = [(_moved(program, size), _bare(program, size)) for _ in range(ROUNDS)]
        ours, bare = (statistics.median(column) for column in zip(*both, strict=True))
        limit = FACTOR + ALLOWANCE / bare
        rows.append(row(f"stop of {size} MB that move", ours, "ms", "criu dump + criu restore", bare, limit))
    return rows


class _Move:
    """A program on one host, another host, and directories for images; gone at the end."""

    def __init__(self, program: str, size: int) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="gomd-bench-"))
        self.program = program
        self.source, self.target = Host(program), Host(program)
        files = write_pem_files(page_server_credentials([ClusterKey.derive(bytes(32))]), str(self.path), "p")
        self.tls = [files.authorities, files.certificate, files.key]
        self.here, self.far = (str(self.path / name) for name in ("here", "far"))
        os.mkdir(self.here)
        os.mkdir(self.far)
        text = _PROGRAM.format(size=size * 1_000_000)
        self.source.do("start", argv=["/usr/bin/python3", "-c", text])
        _until(self.source)

    def __enter__(self) -> _Move:
        return self

    def __exit__(self, *_: object) -> None:
        for host in (self.source, self.target):
            host.do("end")
            host.stop()
        shutil.rmtree(self.path)


def _until(host: Host) -> str:
    """Wait until the program writes, return what."""
    while not (text := host.do("read")):
        time.sleep(0.02)
    return str(text)


def _moved(program: str, size: int) -> float:
    """The longest stop the program saw when it was moved as gomd does, in milliseconds."""
    with _Move(program, size) as move:
        port = move.target.do("listen", address="127.0.0.1")
        move.target.do("take", source="127.0.0.1", directory=move.far, tls=move.tls)
        frozen = move.source.do("dump", directory=move.here, to=["127.0.0.1", port], tls=move.tls)
        move.target.do("taken")
        move.target.do(
            "take_images", directory=move.far, images=move.source.do("send_images", directory=move.here)
        )
        move.target.do("restore", directory=move.far, pid=frozen["pid"], names=frozen["names"])
        move.target.do("thaw")
        return float(_until(move.target).split()[-1]) * 1000


def _bare(program: str, size: int) -> float:
    """The time of the two commands alone, in milliseconds."""
    with _Move(program, size) as move:
        taken: dict[str, Any] = move.source.do("bare_dump", directory=move.here, far=move.far, tls=move.tls)
        for name in os.listdir(move.here):
            if name.endswith(".img"):
                subprocess.run(["cp", os.path.join(move.here, name), move.far], check=True)
        back = move.target.do("bare_restore", directory=move.far, pid=taken["pid"], names=taken["names"])
        return float(taken["seconds"] + back["seconds"]) * 1000
