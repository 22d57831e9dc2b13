"""The rows of `make bench`, and what happens when one of the benchmarks fails."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bench.__main__ import SECONDS, main, measure
from bench.rows import Row, compared, failed, limit, row, stated, table, unmeasured
from tests.unit.scratch import scratch


class RowTests(SynchronousTestCase):
    """One result next to what it is compared with."""

    def test_the_ratio_decides(self) -> None:
        """At most the goal, or at least."""
        self.assertTrue(row("a", 1.79, "us", "echo", 1.0, 5.0)["ok"])
        self.assertFalse(row("a", 5.1, "us", "echo", 1.0, 5.0)["ok"])
        self.assertTrue(row("a", 0.3, "1/s", "echo", 1.0, 0.2, at_least=True)["ok"])
        self.assertFalse(limit("a", 0.36, "%", 0.35)["ok"])

    def test_rounds_give_medians_and_their_spread(self) -> None:
        """The medians are compared; the spread is that of the rounds, each with its own pair."""
        one = compared("a", [1.0, 2.0, 9.0], "ms", "b", [1.0, 1.0, 3.0], 2.5)
        self.assertEqual((one["value"], one["versus_value"], one["ratio"]), (2.0, 1.0, 2.0))
        self.assertEqual((one["spread"], one["ok"]), ([1.0, 3.0], True))

    def test_the_table_tells_the_verdict(self) -> None:
        """A goal that was reached is never shown as missed; what was not measured has no verdict."""
        rows = [
            row("reached", 1.79, "us", "echo", 1.0, 5.0),
            row("missed", 9.0, "us", "echo", 1.0, 5.0),
            unmeasured("alone", 1.0, "us", "no serf", 5.0),
            stated("stated", [9.0, 8.0, 7.0], "ms", "json", [1.0, 1.0, 1.0]),
            failed("broken", "RuntimeError: no port"),
        ]
        head, *lines = table(rows)
        self.assertTrue(head.startswith("MEASURED") and head.endswith("OK"), head)
        self.assertEqual([line.split()[-1] for line in lines], ["yes", "NO", "-", "-", "NO"])
        self.assertIn("RuntimeError: no port", lines[-1])


class MeasureTests(SynchronousTestCase):
    """The benchmarks one after the other."""

    def test_one_that_fails_costs_only_itself(self) -> None:
        """It is a row that says why; the others are kept, and written at once."""
        results = Path(scratch(self))
        written: list[int] = []

        def run(name: str) -> list[Row]:
            if results.exists():
                written.append(len(json.loads(results.read_text())))
            if name == "telnet":
                raise RuntimeError("the daemon did not start")
            return [limit(name, 1.0, "s", 2.0)]

        rows = measure(["scan", "telnet", "idle"], run, results, lambda: 0.0)
        self.assertEqual([each["ok"] for each in rows], [True, False, True])
        self.assertIn("the daemon did not start", rows[1]["versus"])
        self.assertEqual(written, [1, 2])
        self.assertEqual(json.loads(results.read_text()), rows)

    def test_an_unknown_name(self) -> None:
        """Is refused before anything runs."""
        self.assertEqual(main(["scan", "scam"]), 2)

    def test_every_benchmark_is_a_module(self) -> None:
        """With a time for each, which is told before it begins."""
        self.assertTrue(all(seconds > 0 for seconds in SECONDS.values()))
