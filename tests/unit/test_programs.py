"""The programs of `make programs`: what they need is installed, and docs/programs.md is about them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.programs.definition import MOVED, Program, Refused
from tests.programs.definitions import ALL, LIGHT
from tests.programs.outcome import Outcome, difference, judge, reason_in
from tests.programs.running import Attempt, Result
from tests.programs.table import PATH, read, update

_PACKAGES = Path(__file__).parents[2] / "contrib" / "system-packages"
#: What every Debian system has, or what this project's own environment is made of.
_ALWAYS = {"bash", "coreutils", "dash", "findutils", "gzip", "python3", "sed", "tar", "util-linux"}


def _needs(group: str) -> set[tuple[str, str]]:
    """Read the commands and packages that contrib/system-packages has in a group."""
    text = _PACKAGES.read_text().partition(f"    {group})\n")[2].partition(";;")[0]
    return {(command, package) for command, package in re.findall(r"^ +need (\S+) (\S+)", text, re.MULTILINE)}


class DefinitionTests(SynchronousTestCase):
    def test_there_are_at_least_forty_with_names_of_their_own(self) -> None:
        """No two share a directory."""
        self.assertGreaterEqual(len({program.directory for program in ALL}), 40)
        self.assertEqual(len({program.directory for program in ALL}), len(ALL))
        self.assertGreaterEqual(len(LIGHT), 9)

    def test_make_programs_installs_what_they_need(self) -> None:
        """contrib/system-packages names every command and its package."""
        needed = {need for program in ALL for need in program.needs.items() if need[1] not in _ALWAYS}
        self.assertEqual(needed - _needs("programs"), set())
        self.assertEqual(_needs("programs") - needed, set())

    def test_make_test_installs_what_the_light_ones_need(self) -> None:
        """Perl is of priority standard and in the base of Debian's own tools."""
        needed = {need for program in LIGHT for need in program.needs.items() if need[1] not in _ALWAYS}
        self.assertEqual(needed - _needs("tests") - {("perl", "perl")}, set())


class TableTests(SynchronousTestCase):
    def test_the_page_has_the_programs_and_what_is_expected_of_them(self) -> None:
        """All of them, in their order, each with the outcome that its definition expects."""
        rows = {row.program: row for row in read(PATH.read_text())}
        self.assertEqual(list(rows), [program.name for program in ALL])
        for program in ALL:
            row = rows[program.name]
            self.assertEqual(row.about, program.about)
            if isinstance(program.expect, Refused):
                self.assertTrue(row.outcome.startswith("refused: "), row)
                self.assertRegex(row.outcome, program.expect.because)
            else:
                self.assertEqual(row.outcome, "moved", row)
                self.assertGreaterEqual(len(row.migrate.split(", ")), 2)

    def test_a_page_is_read_as_it_was_written(self) -> None:
        """A line break or a bar in a reason does not break the table."""
        program = Program("one", "works", ("true",), {})
        outcome = Outcome(program, "wrong result", "a | b\nc", 1.0, 2.0, (Attempt("", "", True, 0.5),))
        page = update("", [outcome], [program])
        [row] = read(page)
        self.assertEqual(row.program, "one")
        self.assertEqual(row.outcome, "wrong result: a \\| b c")
        self.assertEqual(row.migrate, "0.50 s")
        self.assertIn("Wrong results: 1; lost jobs: 0", page)

    def test_a_run_of_some_leaves_the_rows_of_the_others(self) -> None:
        """A program that was never run says so, and one that is gone has no row any more."""
        programs = [Program(name, "works", ("true",), {}) for name in ("one", "two", "three")]
        page = update("", [Outcome(program, "moved") for program in programs[:2]], programs)
        page = update(page, [Outcome(programs[1], "lost", "x")], programs[1:])
        self.assertEqual(
            [row[:1] + row[3:4] for row in read(page)], [("two", "lost: x"), ("three", "not run yet")]
        )
        self.assertIn("Of 2 programs 0 moved", page)
        self.assertIn("lost jobs: 1;", page)
        self.assertIn("Other failures: 1.", page)

    def test_another_page_is_not_read(self) -> None:
        """It says what to do."""
        self.assertRaisesRegex(ValueError, "make programs", read, "| a | b |\n| --- | --- |\n")


_CAN = Attempt("", "process 5 runs on node 2 h2", True, 0.3)
_REASON = "gom: process 5 cannot move to node 2 h2: it holds a lock on /x"
_CANNOT = Attempt(_REASON, "gom: it holds a lock on /x", False, 0.1)
_LATE = Attempt("", "gom: ann may not have /x on node 2 h2", False, 0.4)


class JudgementTests(SynchronousTestCase):
    def _judge(self, expect: object, *attempts: Attempt, different: str = "") -> str:
        program = Program("one", "", ("true",), {}, expect=expect)  # type: ignore[arg-type]
        return judge(program, attempts, different)[0]

    def test_what_moves_is_to_do_the_same(self) -> None:
        """A move that was refused, before or after the freeze, is none; nor is one with another result."""
        self.assertEqual(self._judge(MOVED, _CAN, _CAN), "moved")
        self.assertEqual(self._judge(MOVED, _CAN, _CAN, different="its output"), "wrong result")
        self.assertEqual(self._judge(MOVED, _CAN, _CANNOT), "not moved")
        self.assertEqual(self._judge(MOVED, _CAN, _LATE), "refused after the freeze")

    def test_what_is_refused_is_refused_with_its_reason_beforehand(self) -> None:
        """The dry run has to say the same."""
        self.assertEqual(self._judge(Refused("holds a lock"), _CANNOT), "refused")
        self.assertEqual(self._judge(Refused("a pipe"), _CANNOT), "another reason")
        self.assertEqual(self._judge(Refused("ann may not"), _LATE), "refused after the freeze")
        self.assertEqual(self._judge(Refused("holds a lock"), _CAN), "not refused")
        self.assertEqual(self._judge(Refused("holds a lock"), _CANNOT, different="x"), "wrong result")

    def test_the_reason_is_found_in_both_sentences(self) -> None:
        """`--dry-run` names the process and the node, `gom migrate` need not."""
        self.assertEqual(reason_in(_CANNOT.foretold), reason_in(_CANNOT.said))
        self.assertEqual(reason_in(_REASON), "it holds a lock on /x")


class DifferenceTests(SynchronousTestCase):
    def _difference(self, other: Result, **more: object) -> str:
        program = Program("one", "", ("true",), {}, **more)  # type: ignore[arg-type]
        return difference(program, Result(0, b"out 17", b"", [b"0 x"], {"a": b"1", "b.log": b"2"}), other)

    def test_every_byte_counts(self) -> None:
        """Status, output, errors, what was printed beside it, names of files, their content."""
        same = Result(0, b"out 17", b"", [b"0 x"], {"a": b"1", "b.log": b"2"})
        self.assertEqual(self._difference(same), "")
        for other, what in (
            (replace(same, status=1), "exit status is 1"),
            (Result(0, b"out 1", b"", [b"0 x"], same.files), "output differs: at byte 5 of 6 and 5"),
            (replace(same, err=b"!"), "error output differs"),
            (replace(same, beside=[b"0 y"]), "beside it"),
            (replace(same, files={"a": b"1"}), "b.log"),
            (replace(same, files={"a": b"2", "b.log": b"2"}), "a differs"),
        ):
            self.assertIn(what, self._difference(other))

    def test_what_is_never_the_same_is_left_out(self) -> None:
        """Only what the definition names, and nothing when a terminal's output is not compared."""
        other = Result(0, b"out 18", b"", [b"0 x"], {"a": b"1", "b.log": b"3"})
        self.assertEqual(self._difference(other, mask=(rb"\d+",), ignore=("*.log",)), "")
        self.assertIn("output", self._difference(other, ignore=("*.log",)))
        self.assertEqual(self._difference(other, compare_output=False, ignore=("*.log",)), "")
