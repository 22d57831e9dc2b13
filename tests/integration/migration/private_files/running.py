"""Jobs with temporary files of their own, and what is left of them."""

from __future__ import annotations

from tests.integration.hosts import Host
from tests.integration.migration.moving import Gom

PYTHON = "/usr/bin/python3"
USERS = ("root", "nobody")


def spools(host: Host) -> list[str]:
    """Return what is left in the spool of a host: temporary directories of jobs, and images."""
    spool = host.home / "state/spool"
    return [str(path) for name in ("*-*/tmp", "*-*/vartmp", "moving/[!.]*") for path in spool.glob(name)]


def run(host: Host, *words: str, user: str = "nobody", cwd: str = "/") -> tuple[int, str, str]:
    """Run a job on this host to its end; return its exit status and what it printed."""
    job = Gom(host, "run", "-n", str(host.number), "-T", *words, user=user, cwd="/" if cwd != "/" else cwd)
    job.close()
    return job.wait(), job.out.decode(), job.err.decode()
