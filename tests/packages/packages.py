"""The packages that `make deb` built, and what apt installs with them, on a Debian that needs no network."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.integration.systemd.tree import CACHE, CHECKOUT, bare, do, locked

#: Where `make deb` puts the packages.
BUILT = Path(os.environ.get("GOMD_PACKAGES", CHECKOUT / "dist" / "deb"))
#: Debian packages that the tests use on the machine.
TOOLS = ("bash-completion", "logrotate", "man-db")


def built() -> list[Path]:
    """Return the packages."""
    return sorted(BUILT.glob("*.deb"))


def names() -> list[str]:
    """Return what `apt install ./*.deb` installs; gomrun is among it where the client in C has it."""
    return [field(each, "Package") for each in built()]


def field(package: Path, name: str) -> str:
    """Return a field of a package."""
    return subprocess.run(
        ["dpkg-deb", "-f", package, name], check=True, capture_output=True, text=True
    ).stdout.strip()


def debian() -> Path:
    """
    Return a tree of Debian 13 where apt has fetched, but not installed, what the packages depend on. Blocks.

    :raises CannotBuild: it cannot be made.
    """
    base, tree = bare(), CACHE / "trixie-packages"
    packages = built()
    wanted = hashlib.sha256(
        repr([(field(each, "Depends"), field(each, "Recommends")) for each in packages]).encode()
    ).hexdigest()
    stamp = tree / "var/cache/apt/gomd-tests"
    with locked(CACHE / "lock.packages"):
        if not (tree / "etc/debian_version").exists():
            unfinished = tree.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            do("cp", "-a", "--reflink=auto", str(base), str(unfinished))
            shutil.rmtree(unfinished / "opt")
            (unfinished / "opt").mkdir()
            unfinished.rename(tree)
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
            place = tree / "tmp/packages"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            for each in packages:
                shutil.copy(each, place)
            apt = ("chroot", str(tree), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y")
            do(*apt, "update")
            do(*apt, "install", "--no-install-recommends", *TOOLS)
            do(*apt, "install", "--download-only", *(f"/tmp/packages/{each.name}" for each in packages))
            shutil.rmtree(place)
            stamp.write_text(wanted)
    return tree


def renumbered(packages: list[Path], version: str, where: Path) -> None:
    """Make copies of packages that are of another version, for upgrades and downgrades."""
    where.mkdir()
    for package in packages:
        old = field(package, "Version")
        content = where / "content"
        do("dpkg-deb", "--raw-extract", str(package), str(content))
        for path in (content / "DEBIAN").iterdir():
            text = (
                path.read_text().replace(f"(= {old})", f"(= {version})").replace(f'"{old}"', f'"{version}"')
            )
            path.write_text(text.replace(f"Version: {old}\n", f"Version: {version}\n"))
        number = content / "usr/lib/python3/dist-packages/libgomd/version.py"
        if number.exists():
            number.write_text(number.read_text().replace(f'"{old}"', f'"{version}"'))
        do("dpkg-deb", "--build", "--root-owner-group", str(content), str(where / package.name))
        shutil.rmtree(content)
