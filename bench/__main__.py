"""`python -m bench [NAME ...]`: measure, print a table, write bench/results.json."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Final

from bench.rows import Row, table

#: The benchmarks, in the order they run; each is a module here with a function `run`.
NAMES: Final = (
    "scan", "telnet", "idle", "datagrams", "detection", "membership", "placement", "run", "migrate",
)  # fmt: skip
RESULTS: Final = Path(__file__).with_name("results.json")


def main(wanted: list[str]) -> int:
    """Run the benchmarks ``wanted``, all of them when none is named; return the exit status."""
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(f"there is no benchmark {unknown[0]}: there is {', '.join(NAMES)}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for name in wanted or NAMES:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"bench.{name}").run()
    for line in table(rows):
        print(line)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    return 0 if all(row["ok"] is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
