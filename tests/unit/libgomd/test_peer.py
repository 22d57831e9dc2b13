"""The clients that ask a node by datagram: they have a key, or say at once that they need one."""

from __future__ import annotations

import os

import pytest
from twisted.internet.testing import MemoryReactorClock

from libgomd.blocking_peer import BlockingPeer
from libgomd.errors import ConfigError
from libgomd.peer import open_peer


class Reactor(MemoryReactorClock):  # type: ignore[misc,unused-ignore]
    """A reactor that takes UDP ports as well. :ivar ports: their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[int] = []

    def listenUDP(self, port: int, protocol: object, maxPacketSize: int = 8192) -> None:
        self.ports.append(port)


@pytest.mark.parametrize("named", ["", [], [""], ()])
def test_without_a_key_file_it_is_said_what_is_missing(named: str | list[str] | tuple[str, ...]) -> None:
    """One sentence that says which file to name, and no port is opened."""
    reactor = Reactor()
    for make in (lambda: open_peer(reactor, named), lambda: BlockingPeer(named)):
        with pytest.raises(ConfigError) as refused:
            make()
        [sentence] = refused.value.mistakes
        assert "key file" in sentence
        assert "STATE" in sentence
        assert "\n" not in sentence
    assert reactor.ports == []
    with pytest.raises(ConfigError):
        open_peer(reactor)
    with pytest.raises(ConfigError):
        BlockingPeer()


def test_a_key_file_that_is_not_there() -> None:
    """It is named."""
    for make in (lambda: open_peer(Reactor(), "/nowhere/key"), lambda: BlockingPeer(["/nowhere/key"])):
        with pytest.raises(ConfigError, match="/nowhere/key"):
            make()
    assert not os.path.exists("/nowhere")
