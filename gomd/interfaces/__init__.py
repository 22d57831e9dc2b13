"""
Every part of the daemon that can be swapped, and what each promises.

Two kinds of call. A method that returns an Awaitable is for the reactor's thread and never blocks.
A method whose docstring says *blocks* reads or writes files: it belongs on a thread (`IThreads`),
which is where the parts above call it.
"""

from __future__ import annotations

from gomd.interfaces.cluster import ForwardedReply, IEvents, IMembership, IPeers, ITree
from gomd.interfaces.daemon import ICollector, ICommands, ISignIn, IStoppable, ISwitchNotes, IThreads, ITokens
from gomd.interfaces.history import (
    AskedPage,
    HistoryPage,
    ICollectedHistory,
    IHistory,
    ISampleLog,
    RememberedEvent,
    RememberedTable,
)
from gomd.interfaces.jobs import UNTRUSTED, IJobOwnership, IJobs, IPlacement, JobHere, Need
from gomd.interfaces.node import INodeSource, IProcessControl
from gomd.interfaces.relocation import (
    IMigrator,
    IRelocation,
    MigrationSubject,
    MoveCost,
    Moved,
    RelocationOutcome,
)
from gomd.interfaces.survey import ISurvey, UserAccount, UserHere

__all__ = [
    "UNTRUSTED",
    "AskedPage",
    "ForwardedReply",
    "HistoryPage",
    "ICollectedHistory",
    "ICollector",
    "ICommands",
    "IEvents",
    "IHistory",
    "IJobOwnership",
    "IJobs",
    "IMembership",
    "IMigrator",
    "INodeSource",
    "IPeers",
    "IPlacement",
    "IProcessControl",
    "IRelocation",
    "ISampleLog",
    "ISignIn",
    "IStoppable",
    "ISurvey",
    "ISwitchNotes",
    "IThreads",
    "ITokens",
    "ITree",
    "JobHere",
    "MigrationSubject",
    "MoveCost",
    "Moved",
    "Need",
    "RelocationOutcome",
    "RememberedEvent",
    "RememberedTable",
    "UserAccount",
    "UserHere",
]
