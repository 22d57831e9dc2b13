"""Makes the services that fill the history beside the collector; none when no history is kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.application.service import Service

from gomd.config import Config
from gomd.history.nearby import nearby
from gomd.jobs.ownership import AnnotatedTables
from gomd.tap.databases import collecting_of
from gomd.tap.job_parts import JobParts
from gomd.tap.network import Network
from gomd.tap.no_network import NoNetwork
from gomd.tap.node import NodeParts
from libgomd.model import Caller, Event, Process, Role
from libgomd.wallclock import Wall

_EVERYBODY: Final = Caller(Role.ADMIN, "", None, "history")


def recording_of(
    config: Config,
    reactor: Any,
    node: NodeParts,
    network: Network | NoNetwork,
    jobs: JobParts,
    wall: Wall,
) -> tuple[Service, ...]:
    """Return the services that record nodes, events and jobs, and have scans recorded under their homes."""
    if config.history.kind == ("none",):
        return ()
    from gomd.services.recorder import Recorder
    from gomd.services.remembering import Remembering

    own_id = int(network.members.own_id)
    node.collector.annotate_with(AnnotatedTables(jobs.jobs, own_id))
    recorder = Recorder(
        node.sample_log, node.events, lambda: nearby(own_id, network.members.nodes()),
        lambda: jobs.jobs.rows(_EVERYBODY),
        lambda: bool(node.source.hides_others), node.threads.reading, reactor, wall,
    )  # fmt: skip
    remembering = Remembering(
        node.sample_log, network.members, network.peers, node.threads.reading, reactor, wall
    )
    return recorder, remembering, *collecting_of(config, reactor, node, network, wall)


def kept_command_of(config: Config) -> Callable[[Process], Process]:
    """Return the function that removes from a process the text that `[history] commands` does not keep."""
    if config.history.commands == "full":
        return lambda process: process
    from gomd.history.commands import without_command

    return partial(without_command, names=config.history.commands == "name")


def kept_event_of(config: Config) -> Callable[[Event], Event]:
    """Return the function that removes from an event the text that `[history] commands` does not keep."""
    if config.history.commands == "full":
        return lambda event: event
    from gomd.history.commands import event_without_command

    return partial(event_without_command, names=config.history.commands == "name")
