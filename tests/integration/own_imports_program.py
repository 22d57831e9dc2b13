"""Run as process 1 of new namespaces: imports, as root, what lies below /tmp, while that is a job's."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

from gomd.jobs.supervisor.private_dirs import PrivateDirectories

USER = 54321


def main() -> None:
    """Print whose modules are loaded once the job's user has put some of the same names there."""
    for each in ("/mnt", "/tmp"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", each], check=True)
    package = Path("/tmp/installed/own_package")
    _write(package, "root")
    sys.path.append("/tmp/installed")
    importlib.import_module("own_package.early")
    PrivateDirectories(os.open("/mnt", os.O_RDONLY | os.O_DIRECTORY), USER, USER, ())
    child = os.fork()
    if child == 0:
        os.setresuid(USER, USER, USER)
        _write(package, "the user")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print((package / "late.py").read_text().strip())
    for name in ("own_package.late", "beside"):
        print(name, importlib.import_module(name).WHOSE)


def _write(package: Path, whose: str) -> None:
    package.mkdir(parents=True)
    names = (package / "__init__.py", package / "early.py", package / "late.py", package.parent / "beside.py")
    for path in names:
        path.write_text(f"WHOSE = {whose!r}\n")


if __name__ == "__main__":
    main()
