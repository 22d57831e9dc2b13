"""
The dialog that is open in `gom top`, and what comes of it: requests, answers, another selection of rows.

The dialogs themselves are in `gom.monitor.top_dialogs` and the files beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gom.monitor import top_detail, top_dialogs, top_help, top_menus
from gom.monitor.feed import ClusterState
from gom.monitor.rows import ProcessRow
from gom.monitor.spans import Style
from gom.monitor.top_actions import ActionResult, Actor
from gom.monitor.top_dialogs import Dialog, Renice, Step
from gom.monitor.top_list import ProcessList
from gom.monitor.top_migrate import Migrate
from gom.monitor.top_selection import ListSelection


class OpenDialog:
    """
    At most one dialog. Its processes are those that were marked or under the cursor as it was opened.

    :ivar dialog: what is open; None when nothing is.
    :param processes: the rows, which do not move while it is open. :param selection: changed by menus.
    :param history: of the processes, for the one that is shown in detail.
    :param snapshot: gives the cluster as it is drawn. :param say: shows a sentence below the rows.
    :param when: writes a moment of the wall clock, in seconds since the epoch.
    """

    def __init__(
        self,
        processes: ProcessList,
        selection: ListSelection,
        history: top_detail.History,
        snapshot: Callable[[], ClusterState],
        say: Callable[[str, Style], None],
        when: Callable[[float], str],
    ) -> None:
        self.dialog: Dialog | None = None
        self._processes = processes
        self._selection = selection
        self._history = history
        self._snapshot = snapshot
        self._say = say
        self._when = when
        self._actor: Actor | None = None
        self._acting_on: tuple[ProcessRow, ...] = ()
        self._purpose = ""
        self._doing = 0

    def start(self, actor: Actor) -> None:
        """Send requests by ``actor`` from now on."""
        self._actor = actor

    def take_answers(self) -> None:
        """Take the answers that have come: say how it went, or give them to the dialog that asked."""
        assert self._actor is not None
        for answer in self._actor.take():
            self._answered(answer)

    def press(self, key: str, text: str) -> None:
        """Give a key to the dialog; see `gom.monitor.program`. Nothing happens when none is open."""
        if self.dialog is not None:
            self._follow(self.dialog.press(key, text))

    def _answered(self, answer: ActionResult) -> None:
        if answer.key[0] == "act":
            self._doing = max(0, self._doing - 1)
            rest = f" ({self._doing} to go)" if self._doing else ""
            if answer.done:
                self._say(f"{answer.text}{rest}", Style.GOOD)
            else:
                self._say(f"refused for {answer.about}: {answer.text}{rest}", Style.BAD)
        elif self.dialog is not None:
            self._follow(self.dialog.answer(answer))

    def _follow(self, step: Step) -> None:
        """Do what a dialog's step says."""
        assert self._actor is not None
        dialog = self.dialog
        if step.close:
            self._close()
        if step.ask:
            acts = sum(each.key[0] == "act" for each in step.ask)
            if not self._actor.ask(*step.ask):
                self._say("too many requests are under way: wait for their answers", Style.BAD)
            elif acts:
                self._doing += acts
                self._say(f"asked: {step.ask[0].request.verb} {step.ask[0].about}", Style.DIM)
                self._processes.marks.clear()
        if step.value is not None:
            self._chosen(dialog, step.value)

    def _chosen(self, dialog: Dialog | None, value: str) -> None:
        """Go on from a menu: to the confirmation, or to another selection of rows."""
        if isinstance(dialog, Migrate):
            self._open(dialog.confirmation(value), "confirm")
        elif isinstance(dialog, Renice):
            self._open(top_dialogs.renicing(int(value), self._acting_on), "confirm")
        elif self._purpose == "signal":
            self._open(top_dialogs.sending(value, self._acting_on), "confirm")
        elif self._purpose == "user":
            self._selection.want(user=value)
        elif self._purpose == "node":
            self._selection.only_node(int(value))
        elif self._purpose == "sort":
            self._selection.want(sort=value)

    def _open(self, dialog: Dialog, purpose: str) -> None:
        """Open a dialog. Rows do not move while it is open."""
        self._processes.hold()
        self.dialog = dialog
        self._purpose = purpose

    def _close(self) -> None:
        self.dialog = None
        self._processes.release()

    # -- dialogs

    def _targets(self) -> tuple[ProcessRow, ...]:
        """Return the processes that a key acts on, as they are now; says so when there are none."""
        table = self._snapshot().table
        if self._snapshot().role == "read":
            self._say("you may only look: a token of role user or admin may act, see `gom token`", Style.BAD)
            return ()
        found = [] if table is None else [
            process for identity in self._processes.chosen() if (process := table.find(identity)) is not None
        ]  # fmt: skip
        if not found:
            self._say("there is no process under the cursor", Style.WARN)
        return tuple(found)

    def _act(self, purpose: str, dialog: Callable[[Sequence[ProcessRow]], Dialog]) -> None:
        if targets := self._targets():
            self._acting_on = targets
            self._open(dialog(targets), purpose)

    def signal(self) -> None:
        """Let the person choose a signal for the chosen processes."""
        self._act("signal", lambda _targets: top_dialogs.signal_menu())

    def renice(self) -> None:
        """Let the person choose another priority for the chosen processes."""
        self._act("renice", Renice)

    def lock(self) -> None:
        """Ask whether the chosen processes are to be locked, or unlocked if the first one is locked."""
        self._act("confirm", lambda targets: top_dialogs.locking(not targets[0].lock, targets))

    def migrate(self) -> None:
        """Let the person choose where the chosen processes are to move."""
        self._act("migrate", lambda targets: Migrate(self._snapshot().nodes, targets))
        if isinstance(self.dialog, Migrate):
            self._follow(Step(ask=self.dialog.ask()))

    def show_detail(self) -> None:
        """Show more of the process under the cursor; nothing happens when there is none."""
        table, identity = self._snapshot().table, self._processes.selected()
        process = None if table is None or identity is None else table.find(identity)
        if process is None:
            return

        def find() -> ProcessRow | None:
            newest = self._snapshot().table
            return None if newest is None else newest.find(process.identity)

        detail = top_detail.Detail(process, find, self._history, self._when)
        self._open(detail, "detail")
        self._follow(Step(ask=detail.ask()))

    def choose_user(self) -> None:
        """Let the person choose whose processes are shown."""
        self._open(top_menus.user_menu(self._snapshot().table, self._selection.wanted.user), "user")

    def choose_node(self) -> None:
        """Let the person choose which node's processes are shown."""
        self._open(top_menus.node_menu(self._snapshot().nodes, self._selection.wanted.node), "node")

    def choose_sort(self) -> None:
        """Let the person choose the order of the rows."""
        self._open(top_menus.sort_menu(self._selection.wanted.sort), "sort")

    def help(self) -> None:
        """Show what the keys do."""
        self._open(top_help.Help(), "help")


#: The keys that open a dialog.
KEYS: Final[dict[str, Callable[[OpenDialog], None]]] = {
    "u": OpenDialog.choose_user, "n": OpenDialog.choose_node, "s": OpenDialog.choose_sort,
    "k": OpenDialog.signal, "r": OpenDialog.renice, "m": OpenDialog.migrate, "l": OpenDialog.lock,
    "h": OpenDialog.help, "?": OpenDialog.help, "i": OpenDialog.show_detail,
}  # fmt: skip
