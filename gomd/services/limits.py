"""The kernel's limits of this process, raised to what the settings need."""

from __future__ import annotations

import contextlib
import resource


def raise_file_limit(wanted: int) -> int:
    """
    Let this process open ``wanted`` files, as far as its hard limit lets it.

    :returns: how many it may open now.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        best = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, best), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
