"""
The dialog that moves a process: the nodes with what the process would cost there, and why one refuses it.

The cost is that of the rule by which daemons place jobs (docs/placement.md). Whether the process can move is
never guessed here: the node under the cursor is asked by a dry run, and its reasons are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from gom.monitor.figures import short_bytes
from gom.monitor.rows import BLOCK, NodeRow, ProcessRow
from gom.monitor.spans import Line, Span, Style, fit, line, visible
from gom.monitor.top_actions import ActionResult, Asked
from gom.monitor.top_dialogs import CLOSE, STAY, Acting, Choice, ListBox, Step, named, sentences
from libgomd.opportunity_cost import ASSUMED_MEMORY_BYTES, ceiling_above, cost, load_of_one
from libgomd.wire.lines import Request

BEST: Final = "best"
HOME: Final = "home"
#: Lines for what a dry run says.
_SAID_LINES: Final = 4


class Offer(NamedTuple):
    """
    A node as a target. :ivar cost: what the process adds there; None when that is not known. :ivar hint: what
    speaks against it already; empty for nothing.
    """

    node: NodeRow
    cost: float | None
    hint: str


def offers(nodes: Sequence[NodeRow], process: ProcessRow) -> list[Offer]:
    """Return every other node as a target for ``process``, the cheapest first, those that are down last."""
    up = [node for node in nodes if node.up]
    ceiling = ceiling_above(node.load for node in up if node.load is not None)
    memory = process.rss or ASSUMED_MEMORY_BYTES
    found = []
    for node in nodes:
        if node.id == process.node:
            continue
        hint = ""
        if not node.up:
            hint = "down"
        elif node.status & BLOCK and node.id != process.home:
            hint = "takes no guests"
        elif node.mem is not None and process.rss is not None and node.mem < process.rss:
            hint = "too little memory"
        found.append(Offer(node, _added(node, len(up), ceiling, memory), hint))
    return sorted(found, key=lambda offer: (bool(offer.hint), not offer.node.up, offer.cost is None,
                                            offer.cost or 0.0, offer.node.id))  # fmt: skip


def _added(node: NodeRow, count: int, ceiling: float, memory: int) -> float | None:
    if node.load is None or node.mem is None or not node.tmem:
        return None
    used = 1 - min(node.mem, node.tmem) / node.tmem
    after = node.load + load_of_one(node.speed, node.cpus)
    return cost(count, used + memory / node.tmem, after / ceiling) - cost(count, used, node.load / ceiling)


class Migrate:
    """The list of targets. :param processes: what is to move; marked ones go to one node together."""

    is_pane = False

    def __init__(self, nodes: Sequence[NodeRow], processes: Sequence[ProcessRow]) -> None:
        self._processes = tuple(processes)
        self._names = {str(node.id): f"node {node.id} {visible(node.name)}" for node in nodes}
        choices = [Choice(BEST, line("best   the best node now, as placement has it"))]
        if any(each.home != each.node for each in processes):
            choices.append(Choice(HOME, line("home   where it was started")))
        choices += [Choice(str(offer.node.id), _shown(offer)) for offer in offers(nodes, processes[0])]
        self._list = ListBox(choices)
        self._said: dict[str, ActionResult] = {}
        self._asking = ""

    @property
    def title(self) -> str:
        """See `Dialog.title`."""
        return "migrate to which node?"

    def lines(self, width: int, height: int) -> list[Line]:
        """See `Dialog.lines`."""
        said = self._said_lines(width)[: max(1, min(_SAID_LINES, height - 2))]
        heading = line(Span("    ID NAME           COST   LOAD  FREE MEMORY", Style.DIM))
        room = height - len(said) - 1
        shown = [heading] if room > 2 else []
        return [*shown, *self._list.lines(room - len(shown)), *said]

    def _said_lines(self, width: int) -> list[Line]:
        answer = self._said.get(self._list.value or "")
        if answer is None:
            return [line(Span("asking whether it can move there ...", Style.DIM))]
        text = answer.text[:1].upper() + answer.text[1:]
        return sentences(text, width, Style.GOOD if answer.done else Style.BAD)

    def ask(self) -> tuple[Asked, ...]:
        """Return the dry run that is due: one at a time, for the node under the cursor."""
        value = self._list.value
        if value is None or self._asking or value in self._said:
            return ()
        self._asking = value
        first = self._processes[0]
        request = Request("migrate", (first.identity, value, "dry-run"))
        return (Asked(("dry-run", first.identity, value), request, named(first)),)

    def answer(self, answer: ActionResult) -> Step:
        """See `Dialog.answer`."""
        if answer.key[:2] == ("dry-run", self._processes[0].identity):
            self._said[answer.key[2]] = answer
            self._asking = ""
        return Step(ask=self.ask())

    def press(self, key: str, text: str) -> Step:
        """See `Dialog.press`."""
        if key in ("escape", "q"):
            return CLOSE
        if key == "enter":
            return Step(close=True, value=self._list.value)
        return Step(ask=self.ask()) if self._list.press(key) else STAY

    def confirmation(self, value: str) -> Acting:
        """Return the confirmation of a move to the node that was chosen."""
        where = {BEST: "to the best node", HOME: "to its home"}.get(
            value
        ) or f"to {self._names.get(value, value)}"
        answer = self._said.get(value)
        refused = "" if answer is None or answer.done else f" The dry run said: {visible(answer.text)}"
        acting = Acting(
            f"migrate {{}} {where}", self._processes, lambda identity: Request("migrate", (identity, value)),
            f"The whole job of a process moves with it.{refused}",
        )  # fmt: skip
        return acting


def _shown(offer: Offer) -> Line:
    node = offer.node
    added = "-" if offer.cost is None else f"{offer.cost:.3f}"
    figures = f"{added:>6} {'-' if node.load is None else node.load:>6}"
    return line(
        f"{node.id:>4} {fit(visible(node.name), 12)} {figures} {short_bytes(node.mem):>6}",
        Span(f"  {offer.hint}" if offer.hint else "", Style.BAD),
    )
