"""The certificates of page servers on the disk: written once, and again when they are not as written."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from libgomd.certificates import page_server_credentials, write_pem_files
from libgomd.derivation import ClusterKey
from libgomd.private import make_private_directory

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.criu import TlsFiles


class _Written(NamedTuple):
    """
    What is on the disk.

    :ivar marks: what shows that a file is still the one that was written.
    """

    keys: tuple[ClusterKey, ...]
    files: TlsFiles
    marks: tuple[tuple[int, ...], ...]


class PageCertificates:
    """Writes them for the keys of a cluster. To make them takes milliseconds of each move."""

    def __init__(self) -> None:
        self._written: dict[str, _Written] = {}
        #: A thread that has the old keys yet would write between the files of the new ones and their marks.
        self._writing = threading.Lock()

    def files(self, keys: Sequence[ClusterKey], directory: str) -> TlsFiles:
        """
        Return the paths of the certificates below ``directory``, which are there then. Blocks.

        :param keys: of the cluster, the newest first. :raises OSError: they cannot be written.
        """
        from gomd.jobs.checkpoint.criu import TlsFiles  # loaded by then: a job is to be moved

        with self._writing:
            known = self._written.get(directory)
            if known is None or known.keys != tuple(keys) or known.marks != _marks(known.files):
                make_private_directory(directory)
                made = write_pem_files(page_server_credentials(keys), directory, "page-server")
                files = TlsFiles(made.authorities, made.certificate, made.key)
                known = self._written[directory] = _Written(tuple(keys), files, _marks(files))
        return known.files


def _marks(files: TlsFiles) -> tuple[tuple[int, ...], ...]:
    """Return what changes when one of the files does; empty when one is gone."""
    try:
        found = [os.stat(path) for path in files]
    except OSError:
        return ()
    return tuple((each.st_ino, each.st_mtime_ns, each.st_ctime_ns, each.st_size) for each in found)
