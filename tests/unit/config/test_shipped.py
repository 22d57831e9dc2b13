"""The gomd.ini that is shipped, the spec and the settings have the same keys and the same defaults."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from configobj import ConfigObj
from configobj.validate import Validator
from twisted.trial.unittest import SynchronousTestCase

from gomd.config import Environment, load
from gomd.config.checks import CHECKS
from gomd.config.loading import read_spec
from gomd.config.settings import LIVE, Config

SHIPPED = Path(__file__).parents[3] / "gomd.ini"
ROOT = Environment(cwd="/srv", uid=0, environ={}, hostname="alpha")


class ShippedFileTests(SynchronousTestCase):
    """What people find when they open gomd.ini."""

    def setUp(self) -> None:
        self.spec = read_spec()
        self.shipped = ConfigObj(str(SHIPPED), interpolation=False, list_values=False, file_error=True)

    def spec_names(self) -> set[tuple[str, str]]:
        names = {(section, key) for section in self.spec.sections for key in self.spec[section].scalars}
        return names - {("commands", "__many__")}

    def test_every_key_there_is_stands_in_the_file_and_no_other(self) -> None:
        """Nothing has to be looked up elsewhere, and nothing in the file is refused."""
        in_file = {
            (section, key) for section in self.shipped.sections for key in self.shipped[section].scalars
        }
        self.assertEqual(in_file, self.spec_names())
        self.assertEqual(self.shipped.sections, self.spec.sections)
        self.assertGreater(len(in_file), 35)

    def test_every_value_in_the_file_is_the_default(self) -> None:
        """Deleting a line changes nothing."""
        validator = Validator(dict(CHECKS))
        for section, key in sorted(self.spec_names()):
            check = self.spec[section][key]
            self.assertEqual(
                validator.check(check, self.shipped[section][key]),
                validator.get_default_value(check),
                f"[{section}] {key}",
            )

    def test_the_file_changes_nothing_as_a_whole(self) -> None:
        """The daemon with the file is the daemon without it."""
        self.assertEqual(load(None, (), ROOT).changes(load(str(SHIPPED), (), ROOT)), ((), ()))

    def test_every_key_has_a_comment_and_live_means_live(self) -> None:
        """Each key is explained, and marked exactly when SIGHUP takes it over."""
        section, comment = "", ""
        for line in SHIPPED.read_text("utf-8").splitlines():
            if match := re.fullmatch(r"\[(\w+)\]", line):
                section, comment = match[1], ""
            elif match := re.fullmatch(r"(\w+) =.*", line):
                self.assertGreater(len(comment), 20, f"[{section}] {match[1]}")
                self.assertEqual(
                    "(live)" in comment, f"{section}.{match[1]}" in LIVE, f"[{section}] {match[1]}"
                )
                comment = ""
            elif line.startswith("# "):
                comment += line

    def test_the_examples_of_commands_can_be_used(self) -> None:
        """Taking away the # in front of an example gives a line that is understood."""
        examples = re.findall(r"^#([a-z-]+) = (.+)$", SHIPPED.read_text("utf-8"), re.MULTILINE)
        self.assertEqual([name for name, _ in examples], ["uptime", "disk-space", "log-tail"])
        for _, line in examples:
            self.assertRegex(line, r"^(/usr/bin/|df )")

    def test_the_settings_are_those_of_the_spec(self) -> None:
        """A key of the spec is a setting of its section's class, in its order; LIVE names only such."""
        config = load(None, (), ROOT)
        for section in self.spec.sections:
            if section != "commands":
                named = [name.partition(".") for name, _value in config.settings()]
                self.assertEqual(
                    [key for owner, _dot, key in named if owner == section], self.spec[section].scalars
                )
        self.assertEqual(
            {field.name for field in fields(Config)} - {"path", "warnings"}, set(self.spec.sections)
        )
        self.assertEqual(LIVE - {name for name, _ in config.settings()}, set())
