"""The command mosctl: shows the values of a node and sets the switches of this one, as openMosix's did."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gom.openmosix.program import DONE, FAILED, Failed, connect, find_node, run
from libgomd.blocking import Client
from libgomd.errors import MalformedReply
from libgomd.model import STANDARD_SPEED, Node
from libgomd.wire.text import printable
from libgomd.wire.tree import MAX_TREE_SPEED

USAGE = """\
usage: mosctl status|isup|getload|getspeed|getmem|getfree|getutil|getyard|whois [NODE]
       mosctl [no]stay|[no]lstay|[no]block|[no]quiet
       mosctl bring|expel
       mosctl setspeed N
       mosctl setyard N|this
"""


def main() -> int:
    """Run the command: the entry point."""
    return run("mosctl", mosctl, sys.argv[1:])


def mosctl(argv: Sequence[str]) -> int:
    """Do what ``argv`` says and return the exit status. Blocks."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE, end="", file=sys.stdout if argv else sys.stderr)
        return DONE if argv else FAILED
    option = _ALIASES.get(argv[0], argv[0])
    arguments = argv[1:]
    if option in _QUESTIONS:
        if len(arguments) > 1:
            raise Failed(USAGE.rstrip())
        with connect() as gomd:
            line, status = _QUESTIONS[option](gomd, arguments[0] if arguments else "")
            _print(line)
            return status
    if option not in _ACTIONS:
        raise Failed("mosctl: No such option.")
    wanted, do = _ACTIONS[option]
    if len(arguments) != wanted:
        raise Failed(USAGE.rstrip())
    with connect() as gomd:
        if line := do(gomd, *arguments):
            _print(line)
    return DONE


def _print(text: str) -> None:
    """Print a sentence, with control characters escaped so that none reaches the terminal."""
    print("\n".join(printable(line) for line in text.split("\n")))


Answer = tuple[str, int]


def _status(gomd: Client, key: str) -> Answer:
    return f"{find_node(gomd, key).status.words()}.", DONE


def _is_up(gomd: Client, key: str) -> Answer:
    up = find_node(gomd, key).up
    return ("yes", DONE) if up else ("no", FAILED)


def _value(node: Node, value: int | None, name: str) -> int:
    """
    Return a value of ``node``.

    :raises Failed: the node is down, as in openMosix, or the value is unknown.
    """
    if not node.up:
        raise Failed("Error: Network is unreachable")
    if value is None:
        raise Failed(f"Error: the {name} of node #{node.id} is not known")
    return value


def _load(gomd: Client, key: str) -> Answer:
    node = find_node(gomd, key)
    return f"load={_value(node, node.load, 'load')}", DONE


def _speed(gomd: Client, key: str) -> Answer:
    node = find_node(gomd, key)
    return f"speed={min(_value(node, node.speed, 'speed'), MAX_TREE_SPEED)}.", DONE


def _mem(gomd: Client, key: str) -> Answer:
    node = find_node(gomd, key)
    free, all_ = _value(node, node.mem, "memory"), _value(node, node.tmem, "memory")
    return f"free memory = {free} of {all_}", DONE


def _raw_mem(gomd: Client, key: str) -> Answer:
    node = find_node(gomd, key)
    free, all_ = _value(node, node.rmem, "memory"), _value(node, node.tmem, "memory")
    return f"raw free memory = {free} of {all_}", DONE


def _util(gomd: Client, key: str) -> Answer:
    node = find_node(gomd, key)
    return f"Utilizability = {_value(node, node.util, 'utilizability')}%", DONE


def _yard(gomd: Client, key: str) -> Answer:
    node = find_node(gomd, key)
    _value(node, node.id, "yardstick")
    speed = gomd.get("/proc/hpc/admin/sspeed", node=node.id if key else "").strip()
    if not speed.isdigit():
        raise MalformedReply(f"the yardstick is {speed[:20]!r}")
    like = " (matching a PIV/1500 processor)" if speed == str(STANDARD_SPEED) else ""
    return f"Yardstick speed currently set to {speed}{like}.", DONE


def _whois(gomd: Client, key: str) -> Answer:
    if not key:
        return f"This is openMosix #{gomd.node().id}", DONE
    if key.isascii() and key.isdigit():
        return find_node(gomd, key).address, DONE
    by_address = next((node for node in gomd.nodes() if key in node.hosts), None)
    found = by_address or find_node(gomd, key)
    return f"{printable(key)} is openMosix #{found.id}", DONE


_QUESTIONS: dict[str, Callable[[Client, str], Answer]] = {
    "status": _status, "isup": _is_up, "getload": _load, "getspeed": _speed, "getmem": _mem,
    "getrawmem": _raw_mem, "getutil": _util, "getyard": _yard, "whois": _whois,
}  # fmt: skip


class _Switch(NamedTuple):
    """The texts of mosctl for a switch: when it is set, when it is cleared, and its name when unchanged."""

    on: str
    off: str
    what: str


_SWITCHES = {
    "stay": _Switch(
        "Automatic load-balancing disabled: no processes will leave This node\n"
        "(except by an explicit request)",
        "Automatic load-balancing enabled: processes may leave This node",
        "Automatic load-balancing",
    ),
    "lstay": _Switch(
        "Automatic load-balancing of local processes disabled: no local processes will leave This node\n"
        "(except by an explicit request)",
        "Automatic load-balancing of local processes enabled: local processes may leave This node",
        "Automatic load-balancing of local processes",
    ),
    "block": _Switch(
        "Guests disabled: no processes will come to This node",
        "Guests enabled: processes may come to This node",
        "Guests",
    ),
    "quiet": _Switch(
        "Sharing load information disabled: other nodes do not know the load of This node",
        "Sharing load information enabled: other nodes know the load of This node",
        "Sharing load information",
    ),
}


def _switch(name: str, on: bool) -> Callable[[Client], str]:
    """Return a function that sets or clears a file of /proc/hpc/admin and returns a text about it."""
    switch = _SWITCHES[name]

    def act(gomd: Client) -> str:
        if (gomd.get(f"/proc/hpc/admin/{name}").strip() == "1") == on:
            return f"{switch.what} already {'disabled' if on else 'enabled'}."
        gomd.ask(name if on else f"no{name}")
        return switch.on if on else switch.off

    return act


def _bring(gomd: Client) -> str:
    gomd.bring()
    return "All processes of This node are home, and stay (mosctl nolstay lets them leave again)."


def _expel(gomd: Client) -> str:
    gomd.expel()
    return "All guests have left This node, and none may come (mosctl noblock lets them come again)."


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_TREE_SPEED):
        raise Failed(f"mosctl: a speed is a number from 1 to {MAX_TREE_SPEED}.")
    return int(text)


def _set_speed(gomd: Client, text: str) -> str:
    gomd.setspeed(_number(text))
    return ""


def _set_yard(gomd: Client, text: str) -> str:
    gomd.setyard(min(gomd.speed(), MAX_TREE_SPEED) if text == "this" else _number(text))
    return ""


#: Number of arguments and function of each option that changes something.
_ACTIONS: dict[str, tuple[int, Callable[..., str]]] = {
    **{name: (0, _switch(name, True)) for name in _SWITCHES},
    **{f"no{name}": (0, _switch(name, False)) for name in _SWITCHES},
    "bring": (0, _bring),
    "expel": (0, _expel),
    "setspeed": (1, _set_speed),
    "setyard": (1, _set_yard),
}
_ALIASES = {
    "stat": "status", "speedof": "getspeed", "memory": "getmem", "getfree": "getrawmem",
    "getutilizability": "getutil", **{f"-{name}": f"no{name}" for name in _SWITCHES},
}  # fmt: skip
