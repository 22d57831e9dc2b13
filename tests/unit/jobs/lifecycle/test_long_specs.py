"""How many megabytes of arguments are on their way at a time."""

from __future__ import annotations

from gomd.jobs.lifecycle.long_specs import LongSpecs


def test_what_is_taken_is_given_back() -> None:
    """Asked again for the same frame it counts once; when its job has begun, others have the room."""
    owner = LongSpecs(most=10)
    with owner.ticket() as first, owner.ticket() as second:
        assert first.admits(6)
        assert first.admits(6)
        assert not second.admits(5)
        assert second.refused is True
        assert second.admits(4)
    with owner.ticket() as third:
        assert third.admits(10)
        assert not owner.ticket().admits(1)


def test_a_ticket_is_for_one_frame() -> None:
    """A longer one behind it is not taken for the room of the first."""
    with LongSpecs(most=10).ticket() as ticket:
        assert ticket.admits(4)
        assert not ticket.admits(5)
