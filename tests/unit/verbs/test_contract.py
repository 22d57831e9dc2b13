"""The verbs that clients rely on are there, each for its role."""

from __future__ import annotations

import pytest

from gomd.protocols.peer_client import REPLY_TIMEOUTS
from gomd.verbs.all import all_verbs
from libgomd.model import Role

READ = (
    "help version whoami nodes node load speed mem util cpus status map ls get ps where watch events history "
    "stats auth format quit"
)
USER = "run jobs signal renice migrate lock unlock"
ADMIN = "put stay nostay lstay nolstay block noblock quiet noquiet bring expel setspeed setyard do shutdown"


@pytest.mark.parametrize(
    ("name", "role"),
    [
        (name, role)
        for names, role in ((READ, Role.READ), (USER, Role.USER), (ADMIN, Role.ADMIN))
        for name in names.split()
    ],
)
def test_every_verb_of_the_contract_is_there(name: str, role: Role) -> None:
    """Whom the contract gives it to may say it; only what changes nothing is for smaller roles too."""
    verb = all_verbs().find(name)
    assert verb.role == role or (role is Role.READ and verb.role is Role.NONE)


def test_what_may_take_minutes_is_waited_for_on_the_way_between_nodes_too() -> None:
    """A verb that moves processes is given its time by every daemon that passes it on."""
    assert {verb.name for verb in all_verbs() if verb.patient} == set(REPLY_TIMEOUTS)


def test_usages_of_the_verbs_that_move() -> None:
    """As the contract writes them."""
    assert all_verbs().find("migrate").usage.startswith("migrate PID NODE|home|best")
    assert (all_verbs().find("lock").usage, all_verbs().find("unlock").usage) == ("lock PID", "unlock PID")
