"""
Writes the cluster as the XML that Ganglia's gmond sends, for an existing gmetad. Does no I/O.

One character that XML does not allow would lose the whole cluster, so names are escaped and what XML 1.0
cannot hold is replaced. A value with a TN far beyond its TMAX is dropped by gmetad; that is how a node is
down there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from xml.sax.saxutils import quoteattr

from libgomd.model import Node
from libgomd.version import VERSION

#: Seconds between two values of a node, and of the host itself; gmetad calls a host down after four of them.
TMAX: Final = 20
#: Seconds since a node that is down was heard, when that is not known.
LONG_AGO: Final = 86400
_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEAD: Final = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<!DOCTYPE GANGLIA_XML [
<!ELEMENT GANGLIA_XML (GRID|CLUSTER|HOST)*>
<!ATTLIST GANGLIA_XML VERSION CDATA #REQUIRED SOURCE CDATA #REQUIRED>
<!ELEMENT CLUSTER (HOST|HOSTS|METRICS)*>
<!ATTLIST CLUSTER NAME CDATA #REQUIRED OWNER CDATA #IMPLIED LATLONG CDATA #IMPLIED URL CDATA #IMPLIED
 LOCALTIME CDATA #REQUIRED>
<!ELEMENT HOST (METRIC)*>
<!ATTLIST HOST NAME CDATA #REQUIRED IP CDATA #REQUIRED LOCATION CDATA #IMPLIED TAGS CDATA #IMPLIED
 REPORTED CDATA #REQUIRED TN CDATA #IMPLIED TMAX CDATA #IMPLIED DMAX CDATA #IMPLIED
 GMOND_STARTED CDATA #IMPLIED>
<!ELEMENT METRIC (EXTRA_DATA*)>
<!ATTLIST METRIC NAME CDATA #REQUIRED VAL CDATA #REQUIRED TYPE CDATA #REQUIRED UNITS CDATA #IMPLIED
 TN CDATA #IMPLIED TMAX CDATA #IMPLIED DMAX CDATA #IMPLIED SLOPE CDATA #IMPLIED SOURCE CDATA #IMPLIED>
<!ELEMENT EXTRA_DATA (EXTRA_ELEMENT*)>
<!ELEMENT EXTRA_ELEMENT EMPTY>
<!ATTLIST EXTRA_ELEMENT NAME CDATA #REQUIRED VAL CDATA #REQUIRED>
]>
"""


def document(nodes: Sequence[Node], cluster: str, now: float) -> bytes:
    """
    Return the whole document, about 2 KB a node; takes a millisecond for ten nodes.

    :param cluster: its name in Ganglia. :param now: seconds since the epoch.
    """
    parts = [
        _HEAD,
        f'<GANGLIA_XML VERSION={quoteattr(f"gomd {VERSION}")} SOURCE="gmond">\n',
        f'<CLUSTER NAME={_quoted(cluster)} LOCALTIME="{int(now)}" OWNER="unspecified" LATLONG="unspecified" '
        'URL="unspecified">\n',
    ]
    for node in nodes:
        parts += _host(node, now)
    return "".join((*parts, "</CLUSTER>\n</GANGLIA_XML>\n")).encode()


def _quoted(text: str) -> str:
    return quoteattr(_NOT_IN_XML.sub("\ufffd", text))


def _host(node: Node, now: float) -> Iterator[str]:
    since = LONG_AGO if node.age is None else int(node.age)
    if not node.up:
        since = max(since, 5 * TMAX)
    yield (
        f'<HOST NAME={_quoted(node.name or f"node {node.id}")} IP={_quoted(node.address)} TAGS="" '
        f'REPORTED="{int(now) - since}" TN="{since}" TMAX="{TMAX}" DMAX="0" LOCATION="unspecified" '
        'GMOND_STARTED="0">\n'
    )
    if node.up:
        for name, value, kind, units, group, title in _metrics(node):
            if value is not None:
                yield (
                    f'<METRIC NAME="{name}" VAL={_quoted(str(value))} TYPE="{kind}" UNITS="{units}" '
                    f'TN="{since}" TMAX="{TMAX}" DMAX="0" SLOPE="both" SOURCE="gmond"><EXTRA_DATA>'
                    f'<EXTRA_ELEMENT NAME="GROUP" VAL="{group}"/><EXTRA_ELEMENT NAME="TITLE" VAL="{title}"/>'
                    "</EXTRA_DATA></METRIC>\n"
                )
    yield "</HOST>\n"


def _metrics(node: Node) -> Iterable[tuple[str, object, str, str, str, str]]:
    """Return name, value, type, unit, group and title; Ganglia's own names where it has one."""

    def kilobytes(count: int | None) -> str | None:
        return None if count is None else f"{count / 1024:.0f}"

    load = None if node.load is None else f"{node.load / 100:.2f}"
    return (
        ("load_one", load, "float", " ", "load", "Load, of standard processors"),
        ("cpu_num", node.cpus, "uint16", "CPUs", "cpu", "Processors"),
        ("mem_total", kilobytes(node.tmem), "float", "KB", "memory", "Memory"),
        ("mem_free", kilobytes(node.rmem), "float", "KB", "memory", "Free memory"),
        ("gomd_mem_available", kilobytes(node.mem), "float", "KB", "gomd", "Memory for a new process"),
        ("gomd_speed", node.speed, "uint32", " ", "gomd", "Speed, a standard one is 15000"),
        ("gomd_util", node.util, "uint32", "percent", "gomd", "Usable processors"),
        ("gomd_node", node.id, "uint16", " ", "gomd", "Node id"),
        ("gomd_status", node.status.words(), "string", " ", "gomd", "Status"),
    )
