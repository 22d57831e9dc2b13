"""Chooses what looks for faults of this node, for `gom doctor`. It is loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gomd.config import Config
from gomd.services.state import StateDirectory
from gomd.tap.databases import check_database
from gomd.tap.peer_ports import read_keys_of
from libgomd.model import Finding
from libgomd.tokens import read_tokens

if TYPE_CHECKING:
    from gomd.interfaces import ISurvey


class Examining:
    """
    :param config: gives the newest configuration that was read without a mistake.
    :param addresses: gives those of this node.
    """

    def __init__(self, config: Callable[[], Config], addresses: Callable[[], Sequence[str]]) -> None:
        self._config = config
        self._addresses = addresses
        self._survey: ISurvey | None = None

    def examine(self, shows_paths: bool) -> Sequence[Finding]:
        """Look for what is wrong with the files, the kernel and the interfaces of this node. Blocks."""
        from gomd.services.examination import examine  # seldom asked for
        from gomd.services.examination_network import interfaces

        config = self._config()
        found = examine(
            {
                "key": lambda: read_keys_of(config),
                "state": lambda: StateDirectory(config.node.state_dir).check(),
                **({"password": lambda: check_database(config)} if config.history.password_file else {}),
                "tokens": lambda: read_tokens(config.telnet.tokens_file),
            },
            {"spool": config.jobs.spool, "state": config.node.state_dir},
            shows_paths=shows_paths,
        )
        return [*found, *interfaces(self._addresses())]

    def survey(self) -> ISurvey:
        """Return what tells of users and their directories, always the same."""
        if self._survey is None:
            from gomd.services.survey import Survey

            self._survey = Survey()
        return self._survey
