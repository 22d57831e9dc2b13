"""Which names a node may have, and the name that it gets from its host. Standard library only."""

from __future__ import annotations

import re
from typing import Final

#: Names that a node cannot have, because verbs use them in place of a node.
RESERVED_NAMES: Final = frozenset({"all", "best", "home"})
NODE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
#: What a name may be, as the end of a sentence that refuses another one.
ALLOWED: Final = (
    "must be at most 63 letters, digits, '.', '_' and '-', beginning with a letter or digit, "
    f"not only digits, and none of {', '.join(sorted(RESERVED_NAMES))}"
)


def is_node_name(name: str) -> bool:
    """Return whether ``name`` is a valid node name: not a number, which is an id, and no reserved word."""
    return bool(NODE_NAME.fullmatch(name)) and not name.isdigit() and name not in RESERVED_NAMES


def name_from_host(hostname: str) -> str:
    """Return the first label of a host's name, with as few changes as make it a valid node name."""
    label = re.sub(r"[^A-Za-z0-9_-]+", "-", hostname.partition(".")[0]).strip("-")[:50]
    return label if is_node_name(label) else f"node-{label}".rstrip("-")
