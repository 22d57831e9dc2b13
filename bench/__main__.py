"""`python -m bench [NAME ...]`: measure, print a table, write bench/results.json as the results come."""

from __future__ import annotations

import compileall
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import gom
import gomd
import libgomd
from bench.rows import Row, failed, table

#: The benchmarks, in the order they run, and about how many seconds each takes on two cores. Each is a module
#: here with a function `run`.
SECONDS: Final[Mapping[str, int]] = {
    "scan": 20, "telnet": 45, "answers": 30, "idle": 75, "datagrams": 30, "detection": 420,
    "membership": 600, "placement": 30, "run": 90, "scale": 240, "tree": 90, "relocation": 150,
    "migrate": 300, "monitor": 240, "page": 120, "history": 180, "clients": 20,
    "engines": 500, "thousands": 45,
}  # fmt: skip
RESULTS: Final = Path(__file__).with_name("results.json")


def main(wanted: list[str]) -> int:
    """Run the benchmarks ``wanted``, all of them when none is named; return the exit status."""
    if unknown := [name for name in wanted if name not in SECONDS]:
        print(f"there is no benchmark {unknown[0]}: there is {', '.join(SECONDS)}", file=sys.stderr)
        return 2
    _have_bytecode()
    rows = measure(wanted or list(SECONDS), _run, RESULTS, time.monotonic)
    for line in table(rows):
        print(line)
    return 0 if all(row["ok"] is not False for row in rows) else 1


def _have_bytecode() -> None:
    """Have the bytecode of all modules: an installed gomd has it, and to compile one takes a millisecond."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for package in (gom, gomd, libgomd):
        compileall.compile_dir(str(Path(str(package.__file__)).parent), quiet=2)


def _run(name: str) -> Sequence[Row]:
    found: Sequence[Row] = importlib.import_module(f"bench.{name}").run()
    return found


def measure(
    names: Sequence[str], run: Callable[[str], Sequence[Row]], results: Path, clock: Callable[[], float]
) -> list[Row]:
    """
    Run benchmarks one after the other, with their progress on stderr; return all rows.

    One that fails is a row that says so, and the others go on. ``results`` is written after each of them.
    """
    rows: list[Row] = []
    whole, begun = sum(SECONDS[name] for name in names), clock()
    _tell(f"{len(names)} benchmarks, about {_time(whole)} on two quiet cores")
    for number, name in enumerate(names, 1):
        since = clock()
        _tell(f"[{number}/{len(names)}] {name}, about {_time(SECONDS[name])} ...")
        try:
            rows += run(name)
        except (Exception, SystemExit) as error:  # the figures of the others must not be lost with it
            traceback.print_exc()
            rows.append(failed(name, f"{type(error).__name__}: {error}"[:200]))
        results.write_text(json.dumps(rows, indent=1) + "\n")
        _tell(
            f"[{number}/{len(names)}] {name} took {_time(clock() - since)}, {_time(clock() - begun)} so far"
        )
    return rows


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _tell(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
