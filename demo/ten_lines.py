#!/usr/bin/env python3
"""The ten processes that use most of this node's processors, every two seconds, in ten lines of code."""

import sys
from contextlib import suppress

from libgomd import blocking, calls

with suppress(KeyboardInterrupt), blocking.connect(sys.argv[1] if sys.argv[1:] else None) as gomd:
    node = gomd.node()
    for processes in gomd.watch(calls.ps(), seconds=2):
        print(f"\n{node.name}: {len(processes)} processes, load {gomd.load()}")
        busiest = sorted(processes, key=lambda process: process.cpu_percent or 0, reverse=True)
        for process in busiest[:10]:
            print(f"{process.pid:>8} {process.cpu_percent or 0:>6.1f}% {process.command[:60]}", flush=True)
