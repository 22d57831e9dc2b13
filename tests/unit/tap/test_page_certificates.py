"""The certificates of page servers are written once, and again when they are not there as written."""

from __future__ import annotations

import os
import ssl
import threading
from pathlib import Path

import pytest

from gomd.jobs.checkpoint.criu import TlsFiles
from gomd.jobs.checkpoint.move_tls import client_context, server_context
from gomd.tap.page_certificates import PageCertificates
from libgomd.certificates import Credentials, PemFiles, write_pem_files
from libgomd.derivation import ClusterKey
from libgomd.errors import CannotMove

KEY, OTHER = ClusterKey.derive(b"a" * 32), ClusterKey.derive(b"b" * 32)


def inodes(files: TlsFiles) -> list[int]:
    """Return what shows that a file was written anew."""
    return [os.stat(path).st_ino for path in files]


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """Return one that is not there yet."""
    return str(tmp_path / "spool")


def test_they_are_written_once(directory: str) -> None:
    """And nobody else may read them."""
    certificates = PageCertificates()
    files = certificates.files([KEY], directory)
    before = inodes(files)
    assert inodes(certificates.files([KEY], directory)) == before
    assert {os.stat(path).st_mode & 0o777 for path in files} == {0o600}


@pytest.mark.parametrize("number", range(3), ids=TlsFiles._fields)
def test_a_file_that_was_removed_is_written_again(directory: str, number: int) -> None:
    """As by somebody who tidies up."""
    certificates = PageCertificates()
    files = certificates.files([KEY], directory)
    os.unlink(files[number])
    client_context(certificates.files([KEY], directory))


def test_a_file_that_was_changed_is_written_again(directory: str) -> None:
    """A full disk may have made it empty."""
    certificates = PageCertificates()
    files = certificates.files([KEY], directory)
    Path(files.key).write_bytes(b"")
    client_context(certificates.files([KEY], directory))


def test_a_thread_that_still_has_the_old_keys_spoils_nothing(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move that asked just before the keys were changed may write last."""
    expected = Path(PageCertificates().files([KEY], directory).certificate).read_bytes()
    certificates = PageCertificates()
    late = threading.Thread(target=certificates.files, args=([OTHER], directory))

    def write_and_be_overtaken(credentials: Credentials, place: str, stem: str) -> PemFiles:
        files = write_pem_files(credentials, place, stem)
        if credentials.certificate_pem == expected:
            late.start()
            late.join(0.2)
        return files

    monkeypatch.setattr("gomd.tap.page_certificates.write_pem_files", write_and_be_overtaken)
    certificates.files([KEY], directory)
    late.join()
    monkeypatch.undo()
    assert Path(certificates.files([KEY], directory).certificate).read_bytes() == expected


def test_another_key_has_other_certificates(directory: str) -> None:
    """So that a node that has it not is refused."""
    certificates = PageCertificates()
    before = Path(certificates.files([KEY], directory).authorities).read_bytes()
    assert Path(certificates.files([OTHER], directory).authorities).read_bytes() != before
    assert Path(certificates.files([KEY], directory).authorities).read_bytes() == before


def test_a_context_is_made_anew_when_the_files_change(directory: str) -> None:
    """And only then: that takes milliseconds of a move."""
    certificates = PageCertificates()
    files = certificates.files([KEY], directory)
    first = server_context(files)
    assert server_context(files) is first
    assert client_context(files) is not first
    assert server_context(certificates.files([OTHER], directory)) is not first


def test_what_is_agreed_on(directory: str) -> None:
    """The newest TLS, and a certificate at both ends."""
    files = PageCertificates().files([KEY], directory)
    for context in (client_context(files), server_context(files)):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_REQUIRED


def test_certificates_that_are_not_there_are_named(directory: str) -> None:
    """In a sentence, at either end."""
    files = TlsFiles(*(f"{directory}/{name}" for name in ("ca", "cert", "key")))
    for make in (client_context, server_context):
        with pytest.raises(CannotMove, match="the cluster's certificates cannot be used: No such file"):
            make(files)
