"""
Which numbers of `stats` are counters, which only grow, and which are gauges, which rise and fall.

A name that is not listed here is of kind unknown, which Prometheus accepts.
"""

from __future__ import annotations

from typing import Final

_GAUGES: Final = frozenset(
    {
        "processes", "nodes", "nodes_up", "nodes_lost", "events_followers", "commands_running",
        "telnet_connections", "telnet_connections_most", "http_connections", "http_streams", "http_sessions",
        "ganglia_connections", "jobs_held", "jobs_known",
        "swim_local_health", "migrations_now", "handshakes_now", "streams_in", "streams_in_daemons",
        "streams_in_admins", "streams_in_users", "streams_in_readers", "clock_last_jump",
        "multicast_unheard",
    }
)  # fmt: skip
_COUNTERS: Final = frozenset(
    {
        "events", "membership_received", "suspicions_refuted", "checks", "probes", "probes_asked",
        "probes_for_others", "objections", "nodes_refused", "nodes_full", "nodes_evicted", "id_conflicts",
        "streams_asked", "streams_failed", "streams_again", "streams_turned_away",
        "commands_started", "auth_good", "auth_bad", "log_written",
        "log_lost", "log_rotated", "jobs_started", "jobs_journal_failed", "balance_moves",
        "balance_failures", "migrations_out", "migrations_in", "migrations_failed",
        "telnet_turned_away", "telnet_requests", "telnet_refused", "telnet_dropped",
        "http_requests", "http_refused", "http_dropped", "ganglia_documents",
        "datagrams_received", "datagrams_received_bytes",
        "datagrams_sent", "datagrams_sent_bytes", "datagrams_unsent", "questions_received",
        "questions_dropped", "questions_repeated", "questions_unanswered", "datagrams_renumbered",
        "clock_jumps", "clock_slept",
    }
)  # fmt: skip
_COUNTER_ENDS: Final = ("_reads", "_failures", "_skipped", "_events")
_COUNTER_STARTS: Final = ("datagrams_dropped_", "handshakes_", "swim_", "summaries_")
#: Ranks in the list of the worst senders; the sender at a rank changes.
_GAUGE_STARTS: Final = ("datagrams_worst_",)


def kind_of(name: str) -> str:
    """Return what the number ``name`` of `stats` is: ``counter``, ``gauge`` or ``unknown``."""
    if name in _GAUGES or name.startswith(_GAUGE_STARTS):
        return "gauge"
    if name in _COUNTERS or name.endswith(_COUNTER_ENDS) or name.startswith(_COUNTER_STARTS):
        return "counter"
    return "unknown"
