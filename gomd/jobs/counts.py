"""What is counted of jobs, also by a daemon that has not had one yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from libgomd.model import Counter


def job_counters(
    migrations: Iterable[Counter],
    *,
    started: int = 0,
    held: int = 0,
    running: int = 0,
    known: int = 0,
    kept: int = 0,
    removed: int = 0,
    failed: int = 0,
) -> Iterator[Counter]:
    """Yield the counters of jobs, for `stats`, and those of their ``migrations``."""
    yield Counter("jobs_started", started, "jobs of this home that have begun")
    yield Counter("jobs_held", held, "jobs under way here, guests too")
    yield Counter("jobs_running", running, "jobs of this home under way, wherever they run")
    yield Counter("jobs_known", known, "jobs in the home table")
    yield Counter("jobs_output_kept_bytes", kept, "output of detached jobs that is kept here")
    yield Counter("jobs_output_removed", removed, "kept outputs removed to make room")
    yield from migrations
    yield Counter("jobs_journal_failed", failed, "changes the journal could not be given")
