"""What a collector stores in the database, and what is read from it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace

from gomd.history.postgresql.connecting import connector
from gomd.history.postgresql.conninfo import parse_conninfo
from gomd.history.postgresql.reader import DatabaseReader
from gomd.interfaces import HistoryPage
from libgomd.wallclock import wall_clock
from tests.doc_blocks import BLOCKS
from tests.integration.collected import CollectedContract, collect_all, store
from tests.integration.collector.collector_case import CollectorCase, WithServer
from tests.integration.postgresql import needs_postgresql
from tests.unit.history.contract import EVENT

pytestmark = needs_postgresql


class DatabaseTests(CollectedContract, WithServer):
    """The contract with PostgreSQL's own partitions."""


class StoredTests(CollectorCase):
    """Each row once, of whoever may store it."""

    def test_what_history_md_asks_in_sql(self) -> None:
        """Each statement of docs/history.md is answered; Grafana puts expressions for its variables."""
        self.write(0, 10)
        self.log.close()
        collect_all(self.collected, self.log.reader)
        written = [block.text for block in BLOCKS if block.language == "postgresql"]
        [text] = [each for each in written if "timescaledb" not in each]
        for macro, sql in (
            (r"\$__timeGroup\(([\w.]+), \$__interval\)", r"date_trunc('minute', \1)"),
            (r"\$__timeFilter\(([\w.]+)\)", r"\1 > now() - interval '1 day'"),
        ):
            text = re.sub(macro, sql, text)
        statements = [each for each in re.sub("--.*", "", text).split(";") if each.strip()]
        self.assertEqual(len(statements), 3)
        for statement in statements:
            self.server.sql(statement)
        self.assertTrue(self.server.sql(statements[-1]))

    def test_two_collectors(self) -> None:
        """The second gets no lease while the first is there, and stores nothing; afterwards it goes on."""
        self.write(0, 100)
        self.log.close()
        other = self.make(own_id=8)
        self.assertEqual(self.collected.lease([7, 9], "own"), {7: "", 9: ""})
        self.assertEqual(other.lease([7, 9, 10], "own"), {10: ""})
        page = self.log.reader.page("", "own")
        self.assertIsNone(store(other, 7, "own", "", page))
        self.assertIsNotNone(store(self.collected, 7, "own", "", page))
        self.assertIsNone(store(self.collected, 7, "own", "", page), "it is stored already")
        self.server.sql("UPDATE gomd.cursors SET lease = now() - interval '1 second'")
        self.assertEqual(other.lease([7], "own"), {7: page.cursor})
        self.assertIsNone(store(self.collected, 7, "own", page.cursor, page))
        self.assertEqual(self.count("samples"), 100)

    def test_rows_that_are_there_already(self) -> None:
        """Somebody has emptied the table of cursors: everything comes again, and nothing is doubled."""
        self.write(0, 100)
        self.log.write_event(replace(EVENT, time=self.start), False)
        self.log.close()
        collect_all(self.collected, self.log.reader)
        before = self.counts("samples", "scanned", "processes", "events")
        self.server.sql("TRUNCATE gomd.cursors")
        collect_all(self.collected, self.log.reader)
        self.assertEqual(
            [self.count(table) for table in ("samples", "scanned", "processes", "events")], before
        )
        self.assertEqual(before, [100, 40, 2, 1])

    def test_what_another_machine_must_not_say(self) -> None:
        """Rows that are none, of far times and of other nodes are left out; the others of the page stay."""
        now = wall_clock()
        lines = [
            "no json", "[]", '{"kind":"samples"}', '{"kind":"nobody","rows":[]}',
            json.dumps({"kind": "samples", "fields": ["load", "x\0y"], "rows": [
                [now, 1, 2], [now + 1, "2", 3], [now + 4e8, 1, 2], [1e300, 1, 2], [None, 1, 2], [now], 7,
                [now + 2, 3, None],
            ]}),
            json.dumps({"kind": "jobs", "rows": [
                [9, 1, now, 9, 1, "a", 1, "running", None, "c", None, "", 0, ""]
            ]}),
            json.dumps({"kind": "remembered", "rows": [[9, now, 0, []]]}),
            json.dumps({"kind": "marks", "rows": [[now, "nul \0 and half \ud800"]]}),
            json.dumps({"kind": "events", "rows": [[now, "down", 9, "", "", 7, None, None, None, None, 0]]}),
        ]  # fmt: skip
        self.collected.lease([7], "own")
        self.assertEqual(store(self.collected, 7, "own", "", HistoryPage("f.1", False, lines)), 4)
        self.assertEqual(
            (self.count("samples"), self.count("measures"), self.count("jobs"), self.count("marks")),
            (2, 1, 0, 1),
        )

    def test_events_of_another_gomd(self) -> None:
        """Those of a kind that is not known here are not shown; a kind too long for an index is left out."""
        now = wall_clock()
        rows = [
            [now, kind, 7, "alpha", "why", 7, None, None, None, None, 0]
            for kind in ("down", "conquered", os.urandom(2000).hex())
        ]
        marks = {"kind": "marks", "rows": [[now, os.urandom(2000).hex()]]}
        lines = [json.dumps({"kind": "events", "rows": rows}), json.dumps(marks)]
        self.collected.lease([7], "own")
        self.assertEqual(store(self.collected, 7, "own", "", HistoryPage("f.1", False, lines)), 2)
        reader = DatabaseReader(7, 60.0, connector(parse_conninfo(self.server.database), ""))
        self.assertEqual([each.event.kind.value for each in reader.events(now - 1, now + 1)], ["down"])
