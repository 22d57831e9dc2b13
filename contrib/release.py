"""
Writes the version of a release wherever it stands: ``release.py VERSION [DATE]``.

These are the files in `PLACES`, packaging/debian/changelog, and NEWS.rst, where the entries of the version
that is "not released yet" become those of VERSION. The manual pages follow with `make man`. It commits
nothing.
"""

from __future__ import annotations

import datetime
import re
import sys
from email.utils import format_datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
UNRELEASED: Final = "not released yet"
#: Where the version stands once, by file where that is there, as what is between two patterns.
PLACES: Final = {
    "README.rst": r"(?<=220 gomd )\S+(?= node)",
    "clients/c/Makefile": r"(?<=^VERSION := ).*",
    "clients/c/gomd.3": r'(?<=^\.TH GOMD 3 "gomd )[^"]*',
    "clients/c/gomrun.1": r'(?<=^\.TH GOMRUN 1 "" "gomd )[^"]*',
    "clients/java/Makefile": r"(?<=^VERSION := ).*",
    "clients/java/pom.xml": r"(?<=^  <version>)[^<]*",
    **dict.fromkeys(
        (
            f"clients/perl/lib/Gomd/{name}.pm"
            for name in (
                "CallerEnd",
                "Client",
                "Endpoint",
                "Error",
                "Frames",
                "Job",
                "Lines",
                "Sealed",
                "Socket",
                "Watch",
            )
        ),
        r"(?<=^our \$VERSION = ')[^']*",
    ),
    "libgomd/version.py": r'(?<=VERSION: Final = ")[^"]*',
}
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
_HEADING: Final = re.compile(rf"^(.*) \({UNRELEASED}\)\n-+\n", re.MULTILINE)
_CHANGELOG: Final = """\
gomd ({version}) unstable; urgency=medium

  * New version; /usr/share/doc/gomd/NEWS.rst says what users can see.

 -- gomd maintainers <maintainers@gomd.example>  {date}

"""


def release(root: Path, version: str, date: datetime.date) -> list[str]:
    """
    Write the version into the files below ``root``. Blocks.

    :returns: the names of the changed files. :raises SystemExit: it is none, or there is nothing to release.
    """
    if not _VERSION.fullmatch(version):
        raise SystemExit("a version is three numbers, as in: make release VERSION=1.2.3")
    news = (root / "NEWS.rst").read_text("utf-8")
    if not (match := _HEADING.search(news)):
        raise SystemExit(f'NEWS.rst has no version that is "({UNRELEASED})": there is nothing to release')
    released = re.search(r"^gomd \((.*)\)", (root / "packaging/debian/changelog").read_text("utf-8"))
    assert released is not None
    old = re.search(r'VERSION: Final = "(.*)"', (root / "libgomd/version.py").read_text("utf-8"))
    assert old is not None
    if _numbers(version) < _numbers(old[1]):
        raise SystemExit(f"{version} is older than {old[1]}, the version that is here")
    heading = f"{version} ({date.isoformat()})"
    changes = {
        name: _replaced(root, name, pattern, version)
        for name, pattern in PLACES.items()
        if (root / name).exists()
    }
    changes["NEWS.rst"] = news.replace(match[0], f"{heading}\n{'-' * len(heading)}\n", 1)
    day = format_datetime(datetime.datetime.combine(date, datetime.time(12), datetime.timezone.utc))
    entry = _CHANGELOG.format(version=version, date=day)
    changelog = (root / "packaging/debian/changelog").read_text("utf-8")
    if released[1] == version:  # the entry was made before its release
        changelog = changelog.partition("\n\ngomd (")[2] and "gomd (" + changelog.partition("\n\ngomd (")[2]
    changes["packaging/debian/changelog"] = (entry + changelog).rstrip("\n") + "\n"
    for name, text in changes.items():
        (root / name).write_text(text, encoding="utf-8")
    return sorted(changes)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"[0-9]+", version)))


def _replaced(root: Path, name: str, pattern: str, version: str) -> str:
    text, count = re.subn(pattern, version, (root / name).read_text("utf-8"), flags=re.MULTILINE)
    if count != 1:
        raise SystemExit(f"{name} does not say its version where it used to")
    return text


def main(words: list[str]) -> None:
    """Release, and say what is left to do."""
    if not 1 <= len(words) <= 2:
        raise SystemExit(__doc__)
    today = datetime.datetime.now(datetime.timezone.utc).date()  # noqa: TID251 - the date people read
    date = datetime.date.fromisoformat(words[1]) if len(words) > 1 else today
    for name in release(ROOT, words[0], date):
        print(name)
    print(f"now: git commit -a -m 'release {words[0]}' && git tag {words[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
