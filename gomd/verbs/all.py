"""The table of all verbs, made from the files of this package."""

from __future__ import annotations

from gomd.verbs import (
    about,
    admin,
    busiest,
    collect,
    doctor,
    history,
    invitation,
    jobs,
    measures,
    migration,
    node,
    process,
    sign_in,
    switches,
    tree,
)
from gomd.verbs import bring_expel as orders
from gomd.verbs import watch as follow
from gomd.verbs.forwarding import Asking
from gomd.verbs.relay import make_relay
from gomd.verbs.table import Verb, VerbTable


def all_verbs() -> VerbTable:
    """Return the table. The verbs `help` and `watch` look other verbs up in it."""
    table: VerbTable

    def every() -> list[Verb]:
        return list(table)

    table = VerbTable(
        (
            about.make_help(every, lambda name: table.find(name)),
            *about.VERBS,
            *sign_in.VERBS,
            *invitation.VERBS,
            doctor.DOCTOR,
            *node.VERBS,
            *tree.VERBS,
            *process.VERBS,
            *jobs.VERBS,
            *migration.VERBS,
            *history.VERBS,
            *busiest.VERBS,
            *collect.VERBS,
            *measures.VERBS,
            follow.make_watch(
                lambda name: table.find(name),
                lambda *asked: table.ask(*asked),
                lambda *asked: table.check(*asked),
            ),
            make_relay(Asking(lambda *asked: table.ask(*asked), lambda name: table.find(name).role)),
            follow.EVENTS,
            switches.SWITCHES_VERB,
            *orders.VERBS,
            *admin.VERBS,
        )
    )
    return table
