"""What is counted of migrations, also before there is one."""

from __future__ import annotations

from collections.abc import Iterator

from libgomd.model import Counter


def migration_counters(out: int = 0, arrived: int = 0, failed: int = 0, now: int = 0) -> Iterator[Counter]:
    """
    Yield the counters of migrations, for `stats`.

    :param out: jobs that have left. :param arrived: jobs that have come. :param failed: neither of both.
    :param now: not settled yet.
    """
    yield Counter("migrations_out", out, "jobs that moved from here to other nodes")
    yield Counter("migrations_in", arrived, "jobs that moved here from other nodes")
    yield Counter("migrations_failed", failed, "migrations after which the job stayed where it was")
    yield Counter("migrations_now", now, "migrations that are not settled yet")
