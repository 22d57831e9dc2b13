"""Three real daemons, one of them with a wrong clock: both sides say so, and it is a member again at once."""

from __future__ import annotations

import re
import time
from functools import partial

import pytest

from tests.integration.clocks.conftest import EVERYBODY, set_clock
from tests.integration.clocks.seeing import SOON, of_clock, within
from tests.integration.cluster.asking import events, eventually, up
from tests.integration.hosts import Network


@pytest.mark.parametrize(
    ("made", "seconds"), [("yes", -3600), ("no", 3600), ("no", -40)], indirect=["made"],
    ids=["multicast, an hour back", "seeds, an hour on", "seeds, 40 s back"],
)  # fmt: skip
def test_both_sides_report_a_wrong_clock_and_meet_again_when_it_is_right(trio: Network, seconds: int) -> None:
    """Each names the other and the amount within five seconds, each time, and no daemon starts again."""
    right, wrong = trio.hosts[:2], trio.hosts[2]
    before = {(host, node): len(of_clock(host, node, 0)) for host in trio.hosts for node in EVERYBODY}
    restarts = sum(len(events(host, 3, "join")) for host in right)
    for _again in range(2):
        set_clock(wrong, seconds)
        amount = "|".join(str(abs(seconds) + more) for more in (-1, 0, 1))
        for one, other in ((right[0], wrong), (right[1], wrong), (wrong, right[0]), (wrong, right[1])):
            key = (one, other.node)
            told = partial(of_clock, one, other.node, before[key])
            within(SOON, told)
            reasons = told()
            ahead = (seconds > 0) is (other is wrong)
            said = rf"its clock is ({amount}) s {'ahead of' if ahead else 'behind'} ours"
            assert all(re.match(said, reason) for reason in reasons), reasons
            # A datagram sealed before the step may be read after it; that ends one report and begins another.
            assert len(reasons) <= 2, reasons
            before[key] += len(reasons)
        eventually(lambda: up(wrong) == {3})
        for host in right:
            eventually(lambda host=host: up(host) == {1, 2})  # type: ignore[misc]
        time.sleep(1.0)
        set_clock(wrong, 0)
        for host in trio.hosts:
            within(SOON, lambda host=host: up(host) == EVERYBODY)  # type: ignore[misc]
    assert sum(len(events(host, 3, "join")) for host in right) == restarts
