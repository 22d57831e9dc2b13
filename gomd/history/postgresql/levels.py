"""The values of one field of a node over time, from the tables of seconds, minutes, hours and nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from psycopg import sql

from gomd.history.answers import HOURS, LEVEL_SECONDS, MINUTES, SECONDS, Steps, Summed, by_level
from gomd.history.fields import NODE_FIELDS
from gomd.history.postgresql.connecting import Connection
from gomd.history.postgresql.schema import SAMPLE_FIELDS
from libgomd.wire.moments import MAX_MOMENT

_RANGED: Final = ("load", "util", "mem", "rmem")
_TABLES: Final = {MINUTES: "minutes", HOURS: "hours"}
_NEVER: Final = float("inf")

#: Sums rows up by step; a row that began before the answer does counts for its first step.
_IN_STEPS: Final = sql.SQL(
    "SELECT floor((greatest(extract(epoch FROM time), %(begin)s) - %(begin)s) / %(step)s)::bigint, "
    "min({least}), sum({mean}) * %(weight)s, count(*) * %(weight)s, max({most}) FROM {table} "
    "WHERE node = %(node)s AND time > to_timestamp(%(since)s - {behind}) AND time < to_timestamp(%(until)s) "
    "AND {mean} IS NOT NULL AND {field} GROUP BY 1"
)


def values_of(connection: Connection, node: int, name: str, steps: Steps) -> Iterator[Summed]:
    """
    Yield what is known of the value ``name`` of ``node``, one or more values for each step.

    What the node has said itself comes first; before that, what a collector heard of it.
    """
    found = connection.execute("SELECT id FROM gomd.fields WHERE name = %s", (name,)).fetchone()
    values = _Values(connection, node, name, found[0] if found else None, steps)
    first = min(
        (start for level in (SECONDS, MINUTES, HOURS) if (start := values.reach(level)[0])), default=_NEVER
    )
    if steps.since < first:
        yield from values.heard(steps.since, min(first, steps.until))
    if first < steps.until:
        yield from by_level(steps.seconds, max(steps.since, first), steps.until, values.reach, values.rows)


class _Values:
    """One value of one node. :param number: of the field; None when it has none."""

    def __init__(
        self, connection: Connection, node: int, name: str, number: int | None, steps: Steps
    ) -> None:
        self._connection = connection
        self._node = node
        self._name = name
        self._number = number
        self._steps = steps
        self._reached: dict[int, tuple[float, float]] = {}

    def reach(self, level: int) -> tuple[float, float]:
        """Return where a level begins and ends; for an empty one, (0, 0) so that finer ones are asked."""
        if level not in self._reached:
            self._reached[level] = self._look(level)
        return self._reached[level]

    def _look(self, level: int) -> tuple[float, float]:
        if level == SECONDS:
            start, _end = self._ends("samples" if self._name in SAMPLE_FIELDS else "measures")
            return start or 0.0, _NEVER
        start, end = self._ends(_TABLES[level], self._steps.until)
        if start is None:
            return 0.0, 0.0
        if end is None:
            return start, start
        # The last hour is not over: its row has what was summed up so far, and finer rows have all of it.
        return start, end if level == HOURS else end + LEVEL_SECONDS[level]

    def _ends(self, table: str, until: float = MAX_MOMENT) -> tuple[float | None, float | None]:
        """Return the times of the first row, and of the last one before ``until``."""
        narrow = table != "samples"
        if narrow and self._number is None:
            return None, None
        where = sql.SQL("node = %(node)s") + (sql.SQL(" AND field = %(field)s") if narrow else sql.SQL(""))
        ends = [
            self._connection.execute(
                sql.SQL(
                    "SELECT extract(epoch FROM time)::float8 FROM {} WHERE {} "
                    "AND time < to_timestamp(%(end)s) ORDER BY time {} LIMIT 1"
                ).format(sql.Identifier("gomd", table), where, sql.SQL(order)),
                {"node": self._node, "field": self._number, "end": end},
            ).fetchone()
            for order, end in (("ASC", MAX_MOMENT), ("DESC", until))
        ]
        return (ends[0][0] if ends[0] else None), (ends[1][0] if ends[1] else None)

    def rows(self, level: int, since: float, until: float) -> Iterator[Summed]:
        """Yield what a level knows of a time."""
        if since >= until:
            return
        if level == SECONDS:
            yield from self._seconds(since, until)
        elif self._number is not None:
            yield from self._summed(
                _TABLES[level], ("min", "mean", "max"), LEVEL_SECONDS[level], since, until, narrow=True
            )

    def _seconds(self, since: float, until: float) -> Iterator[Summed]:
        if self._name in SAMPLE_FIELDS:
            name = self._name
            yield from self._summed("samples", (name, name, name), 0, since, until)
        elif self._number is not None:
            yield from self._summed("measures", ("value", "value", "value"), 0, since, until, narrow=True)

    def heard(self, since: float, until: float) -> Iterator[Summed]:
        """Yield what a collector heard of the node, which is kept by minute."""
        name = self._name
        if name in NODE_FIELDS and since < until:
            names = (f"{name}_min", name, f"{name}_max") if name in _RANGED else (name, name, name)
            yield from self._summed("nodes", names, 60, since, until)

    def _summed(
        self,
        table: str,
        names: tuple[str, str, str],
        seconds: int,
        since: float,
        until: float,
        narrow: bool = False,
    ) -> Iterator[Summed]:
        """Sum rows up. :param seconds: that a row covers, 0 for a moment."""
        # A row of a moment is taken from `since` on, one that covers a time from its end on.
        behind = sql.Literal(seconds) if seconds else sql.Literal(0.0005)
        least, mean, most = map(sql.Identifier, names)
        statement = _IN_STEPS.format(
            least=least, mean=mean, most=most, table=sql.Identifier("gomd", table), behind=behind,
            field=sql.SQL("field = %(field)s") if narrow else sql.SQL("true"),
        )  # fmt: skip
        values: dict[str, Any] = {
            "begin": self._steps.since, "step": self._steps.seconds, "weight": seconds or 1,
            "node": self._node, "since": since, "until": until, "field": self._number,
        }  # fmt: skip
        for step, low, total, weight, high in self._connection.execute(statement, values):
            yield int(step), float(low), float(total), float(weight), float(high)
