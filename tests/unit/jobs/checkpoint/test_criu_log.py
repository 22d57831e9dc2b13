"""Why a process cannot be moved is said in words, not in lines of criu's log."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gomd.jobs.checkpoint.criu_log import explain, missing_features

#: Lines as criu 3.17 and 4.1 wrote them.
_SEEN = [
    ("Error (criu/sk-inet.c:193): inet: Connected TCP socket, consider using --tcp-established option.",
     "it has a TCP connection open"),
    ("Error (criu/sk-inet.c:188): inet: In-flight connection (l) for 12e6b3", "it has a TCP connection open"),
    ("Error (criu/sk-unix.c:862): unix: Dangling connection 1304964",
     "it has a socket open to another program of this machine"),
    ("Error (criu/file-lock.c:111): Some file locks are hold by dumping tasks! You can try --file-locks to "
     "dump them.", "it holds a lock on a file"),
    ("Error (criu/pstree.c:405): A session leader of 4(1) is outside of its pid namespace",
     "it belongs to a session that began outside the job"),
    ("Error (criu/cr-dump.c:371): Can't get rlimit 0: Operation not permitted",
     "the kernel does not let root read its limits: the daemon lacks CAP_SYS_RESOURCE"),
    ("(00.086391)    300: Error (criu/files-reg.c:2143): Can't open file tmp/data.txt on restore: "
     "No such file or directory", "the other node has no /tmp/data.txt"),
    ("(00.01) 300: Error (criu/files-reg.c:2229): File usr/lib/libc.so.6 has bad build-ID (expect 1)",
     "/usr/lib/libc.so.6 is another one on the other node"),
    ("Error (criu/tls.c:160): tls: Failed receiving data: The TLS connection was non-properly terminated.",
     "the connection to the page server broke"),
    ("Error (criu/tls.c:241): tls: TLS handshake failed: The TLS connection was non-properly terminated.",
     "the connection to the page server broke"),
    ("Error (criu/tls.c:94): tls: Pull callback recv failed: Connection reset by peer",
     "the connection to the page server broke"),
    ("Error (criu/tls.c:241): tls: TLS handshake failed: Error in the certificate.",
     "the page server and this node do not agree on the cluster's certificates"),
    ("(00.02) Error (criu/sockets.c:475): sockets: Can't get 1:16 opt: Operation not supported",
     "it has a network socket open"),
    ("Error (criu/namespaces.c:400): Can't dump nested pid namespace for 302",
     "one of its processes has namespaces of its own"),
    ("Error (criu/cr-restore.c:1): Can't restore sub-task in NS (cflags 40000000)",
     "one of its processes has namespaces of its own"),
    ("Error (criu/proc_parse.c:9): Task 300 with SysVIPC shmem map @7f53307cf000 doesn't live in IPC ns",
     "it uses System V shared memory"),
    ("Error (criu/image.c:530): Can't write: No space left on device",
     "no space is left where the images are written"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "sentence"), _SEEN)
def test_a_known_refusal_is_a_clause_for_a_person(line: str, sentence: str) -> None:
    """Also when harmless complaints and the failures that follow from it stand around it."""
    before = "Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted"
    after = "Error (criu/cr-dump.c:2111): Dumping FAILED."
    assert explain(f"{before}\n{line}\n{after}\n") == sentence


def test_what_is_not_known_is_quoted() -> None:
    """An error nobody foresaw is told as criu says it, the first one, for what follows comes of it."""
    log = "Warn  (a.c:1): x\nError (a.c:2): the moon is full\nError (a.c:3): Dump core failed\n"
    assert explain(log) == "criu says: the moon is full"
    assert explain("execvp: nothing\n") == "criu says: execvp: nothing"
    assert explain("") == "criu failed without a word"
    assert explain(log, "criu was ended by signal 9") == "criu was ended by signal 9"


def test_check_is_told_in_one_line() -> None:
    """What this kernel lacks, each thing once."""
    text = (
        "Warn  (a.c:1): x\nError (criu/cr-check.c:2): no TUN\nError (criu/cr-check.c:2): no TUN\nLooks bad.\n"
    )
    assert missing_features(text) == "no TUN"
    assert missing_features("Looks good.\n") == ""


@settings(max_examples=200)
@given(st.text() | st.text().map("Error (a.c:1): {}".format))
def test_any_log_gives_one_short_printable_line(log: str) -> None:
    """A file name of the job's choice in the log cannot act on anybody's terminal."""
    told = explain(log)
    assert told
    assert told.isprintable()
    assert len(told) < 300
