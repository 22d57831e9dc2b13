"""
The values that describe a cluster: nodes, processes, samples, events. All are frozen, with fixed units.

Sizes are bytes, moments are seconds since the epoch, durations are seconds. None means "not known
here" (an old kernel, or a value that this caller may not see); it never means zero. ``JSON`` on a class lists
the names of its values in JSON, in the order of the text columns.
"""

from __future__ import annotations

from libgomd.model.callers import FIRST_USER, Caller, Role, is_system_user
from libgomd.model.history import HistoryRow
from libgomd.model.jobs import Job, JobState
from libgomd.model.measures import Measure
from libgomd.model.nodes import DOWN_VALUE, MAX_NODE_ID, MAX_SPEED, STANDARD_SPEED, Node, NodeRange, Status
from libgomd.model.processes import Holdings, Process, ProcessTable
from libgomd.model.replies import (
    MAX_REASON,
    SWITCHES,
    Counter,
    Event,
    EventKind,
    Finding,
    FindingState,
    Name,
    Output,
    Switch,
    VerbHelp,
)
from libgomd.model.samples import Cpu, Disk, Interface, Load, Memory, Paging, Part, Pressure, Sample

__all__ = [
    "DOWN_VALUE",
    "FIRST_USER",
    "MAX_NODE_ID",
    "MAX_REASON",
    "MAX_SPEED",
    "STANDARD_SPEED",
    "SWITCHES",
    "Caller",
    "Counter",
    "Cpu",
    "Disk",
    "Event",
    "EventKind",
    "Finding",
    "FindingState",
    "HistoryRow",
    "Holdings",
    "Interface",
    "Job",
    "JobState",
    "Load",
    "Measure",
    "Memory",
    "Name",
    "Node",
    "NodeRange",
    "Output",
    "Paging",
    "Part",
    "Pressure",
    "Process",
    "ProcessTable",
    "Role",
    "Sample",
    "Status",
    "Switch",
    "VerbHelp",
    "is_system_user",
]
