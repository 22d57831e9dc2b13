"""A network of machines: a bridge, at which each has an address of its own."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.integration import hosts
from tests.integration.systemd.machine import Machine

#: What the tutorial calls its machines, and the network that they are in.
NAMES = ("alpha", "beta", "gamma")
NETWORK = "10.0.0"


class Lan:
    """
    Machines at one bridge, from `__enter__` to `__exit__`: the first is 10.0.0.1.

    :param home: a directory for them. :param tree: of Debian. :param sources: copied to /src of each.
    :ivar machines: by their names.
    """

    def __init__(self, home: Path, tree: Path, sources: Path) -> None:
        self._home = home
        self._tree = tree
        self._sources = sources
        self._stack = ExitStack()
        self.machines: dict[str, Machine] = {}

    def __enter__(self) -> Lan:
        with ExitStack() as stack:
            bridge = hosts._Namespaces("--net")
            stack.callback(bridge.close)
            kind = "type bridge forward_delay 0 stp_state 0 mcast_snooping 0"
            hosts._ip(bridge.init, [f"link add lan {kind}", "link set lan up"])
            for number, name in enumerate(NAMES, 1):
                home = self._home / name
                home.mkdir()
                machine = stack.enter_context(Machine(home, self._tree, self._sources, name))
                hosts._ip(
                    bridge.init,
                    [
                        f"link add {name} type veth peer name eth0 netns {machine.init}",
                        f"link set {name} master lan up",
                    ],
                )
                address = f"{NETWORK}.{number}"
                hosts._ip(
                    machine.init,
                    [f"addr add {address}/24 dev eth0", "link set eth0 up", "route add default dev eth0"],
                )
                self.machines[name] = machine
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()
