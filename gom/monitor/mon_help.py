"""The keys of `gom mon`, for its help screen and for `gom mon --help`."""

from __future__ import annotations

from typing import Final

#: Lines of the help screen, at most 80 cells wide.
HELP: Final = (
    "gom mon: the nodes of the cluster. Any key leaves this page.",
    "",
    " l load   L load, logarithmic   s speed   m memory   r raw memory   u util",
    " w numbers side by side   v vertical   V tight   a whichever fits",
    " x bars, map, or whichever fits        d nodes that are down, shown or not",
    " t totals, shown or not   y the yardstick, shown or not",
    " left right  select a node (so does the mouse)   Esc select none",
    " n p  next, previous screen of nodes   Home End  the first, the last",
    " + NUMBER Enter  go to a node          Enter Insert  draw again",
    " q quit",
    "",
    "Below bars, and in the map: 0-9 tenths in use, + more than all,",
    "D down, O old values, B refuses guests, S keeps its processes,",
    "L keeps its own processes, Q tells no values, ? nothing is known.",
    "Lines below are the migrations of the last minute.",
)
