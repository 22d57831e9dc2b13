"""Run in a mount namespace of its own: shows a user's paths in private directories, as a supervisor does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from gomd.jobs.supervisor.named_paths import NamedPath
from gomd.jobs.supervisor.private_dirs import PrivateDirectories

USER = 54321


def main() -> None:
    """Print what becomes visible of what, and what was made where it must not be."""
    place = Path("/mnt")
    for each in (place, Path("/tmp")):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(each)], check=True)
    job, roots, theirs = place / "job", place / "roots", place / "theirs"
    for each in (job, roots, theirs):
        each.mkdir()
    (theirs / "new").write_text("of the user")
    (job / "secret").mkdir(0o700)
    (job / "secret" / "open").write_text("of root")
    held = os.open(job / "secret" / "open", os.O_RDONLY)
    os.chmod("/tmp", 0o1777)
    link = Path("/tmp/link")
    link.symlink_to(roots)
    Path("/tmp/held").symlink_to(f"/proc/self/fd/{held}")
    Path("/tmp/file").write_text("shown")
    Path("/tmp/mounted").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/tmp/mounted"], check=True)
    Path("/tmp/mounted/file").write_text("of another file system")
    Path("/tmp/closed").mkdir(0o700)
    opened = os.open(job, os.O_RDONLY | os.O_DIRECTORY)
    outside = os.open("/tmp", os.O_PATH | os.O_DIRECTORY)
    private = PrivateDirectories(opened, USER, USER, ())
    asked = ("file", "no/such", "closed/file", "mounted", "mounted/file", "mounted/no", "link", "link/new",
             "file/below")  # fmt: skip
    print("near", [name for name in asked if private.are_near([NamedPath(f"/tmp/{name}")])])
    print("all near", private.are_near([NamedPath("/tmp/file"), NamedPath("/tmp/link")]))
    private.show([NamedPath("/tmp/held"), NamedPath("/tmp/file")])
    print("shown", sorted(os.listdir("/tmp")))
    private.show_paths(["/tmp/link"])
    os.unlink("link", dir_fd=outside)  # as the user may, meanwhile
    os.symlink(theirs, "link", dir_fd=outside)
    try:
        private.show_paths(["/tmp/link/new"])
    except OSError as error:
        print("refused", error.strerror)
    print("made", sorted(os.listdir(roots)))


if __name__ == "__main__":
    main()
