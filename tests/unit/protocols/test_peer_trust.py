"""What another node's daemon may do here for its admins, for root and for system users."""

from __future__ import annotations

import itertools

from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.peer_trust import PeerTrust
from gomd.verbs.all import all_verbs
from libgomd.errors import NotAllowed
from libgomd.model import Caller, Role
from libgomd.wire.lines import Request

ALICE = Caller(Role.USER, "alice", 1000, "node 2")
#: Everybody that `[peers] admin_from_peers = no` is about.
MIGHTY = (
    Caller(Role.ADMIN, "root", 0, "node 2"),
    Caller(Role.ADMIN, "", None, "node 2"),
    Caller(Role.ADMIN, "alice", 1000, "node 2"),
    Caller(Role.USER, "root", 0, "node 2"),
    Caller(Role.USER, "www-data", 33, "node 2"),
    Caller(Role.USER, "last", 999, "node 2"),
)


class PeerTrustTests(SynchronousTestCase):
    """Every verb there is, said for every kind of caller."""

    def setUp(self) -> None:
        self.verbs = tuple(all_verbs())

    def answered_as(self, trust: PeerTrust, name: str, role: Role, caller: Caller, *words: str) -> Caller:
        return trust.caller_for(Request(name, words), role, caller)

    def test_with_yes_everybody_is_who_they_are_there(self) -> None:
        """The default: root of one node is root of all."""
        trust = PeerTrust(admins=True)
        for verb, caller in itertools.product(self.verbs, (*MIGHTY, ALICE)):
            self.assertIs(self.answered_as(trust, verb.name, verb.role, caller), caller)

    def test_with_no_a_person_stays_a_person(self) -> None:
        """Such a user is checked elsewhere: name and uid have to be the same here."""
        trust = PeerTrust(admins=False)
        for verb in self.verbs:
            self.assertIs(self.answered_as(trust, verb.name, verb.role, ALICE), ALICE)

    def test_with_no_the_mighty_only_read(self) -> None:
        """As nobody in particular; whatever needs more is refused with the setting's name."""
        trust = PeerTrust(admins=False)
        between_daemons = {"migration", "moved", "relay"}
        for verb, caller in itertools.product(self.verbs, MIGHTY):
            if verb.name in between_daemons:
                self.assertIs(self.answered_as(trust, verb.name, verb.role, caller), caller)
            elif verb.role <= Role.READ:
                seen = self.answered_as(trust, verb.name, verb.role, caller)
                self.assertEqual((seen.role, seen.uid, seen.via), (Role.READ, None, "node 2"))
                self.assertFalse(any(seen.owns(uid) for uid in (0, 33, 1000)))
            else:
                with self.assertRaisesRegex(NotAllowed, r"admin_from_peers = no.*on this node itself"):
                    self.answered_as(trust, verb.name, verb.role, caller)

    def test_a_guest_of_root_keeps_its_streams(self) -> None:
        """It was taken while that was allowed; `attach` of a job of this node is another thing."""
        trust = PeerTrust(admins=False)
        root = MIGHTY[0]
        self.assertIs(self.answered_as(trust, "attach", Role.USER, root, "2-17"), root)
        for words in (("17",), ()):
            self.assertRaises(NotAllowed, self.answered_as, trust, "attach", Role.USER, root, *words)
        self.assertRaises(NotAllowed, self.answered_as, trust, "run", Role.USER, root, "2-17")

    def test_it_can_be_changed_while_a_stream_is_open(self) -> None:
        """At SIGHUP."""
        trust = PeerTrust(admins=False)
        trust.admins = True
        self.assertIs(self.answered_as(trust, "stay", Role.ADMIN, MIGHTY[0]), MIGHTY[0])
