"""A job that has moved, seen from its home, from a third node and from its node; and requests to it."""

from __future__ import annotations

import sys

from tests.integration.cluster.asking import ask, events, eventually
from tests.integration.hosts import PORT, Host
from tests.integration.line import Reply
from tests.integration.migration.moving import Gom, Job, process, row_of

#: Counts what it is sent, and says so.
_LISTENS = "trap 'echo usr1' USR1; trap 'echo term; exit 9' TERM; echo up; while :; do sleep 0.05; done"


def get_cur_node(asking: Host, home: Host, pid: int) -> int:
    """Ask by datagram, from another host, where a process of ``home`` runs."""
    program = (
        "import sys; from libgomd.blocking_peer import BlockingPeer\n"
        "with BlockingPeer(sys.argv[1]) as peer: print(peer.get_cur_node(sys.argv[2], int(sys.argv[3])))"
    )
    words = (str(asking.key_file), f"{home.address}:{PORT}", str(pid))
    return int(asking.run(sys.executable, "-c", program, *words))


def test_everybody_knows_where_it_is(three: list[Host]) -> None:
    """`ps`, `where`, `/proc` at home; `where PID HOME` and getCurNode from a third node; the guest's own."""
    first, second, third = three
    job = Job(first, "-n", "1", "sleep", "1000", user="nobody")
    assert get_cur_node(third, first, job.pid) == 1
    for moves, there in enumerate((second, third), 1):
        job.move(str(there.number))
        asking = third if there is second else second
        seen = process(first, job.pid)
        assert (seen["node"], seen["home"], seen["where"]) == (there.number, 1, there.number)
        assert (seen["nmigs"], seen["user"], seen["command"]) == (moves, "nobody", "sleep 1000")
        for host, words in ((first, ""), (asking, " 1"), (there, " h1")):
            assert ask(host, f"where {job.pid}{words}") == Reply(200, str(there.number))
        assert get_cur_node(asking, first, job.pid) == there.number
        assert ask(first, f"get /proc/{job.pid}/where").block == [str(there.number)]
        assert ask(first, f"get /proc/{job.pid}/nmigs").block == [str(moves)]
        guest = eventually(lambda: job.row()["pid_there"])
        remote = f"/proc/hpc/remote/{guest}"
        assert ask(there, f"get {remote}/from").block == ["1     10.77.0.1"]
        identity = ask(there, f"get {remote}/identity").block or []
        assert {f"pid={job.pid}", "uid=65534", f"nmigs={moves}", "command=sleep 1000"} <= set(identity)
        assert (ask(there, f"get {remote}/stats").block or [""])[0].startswith("utime=")
        assert str(guest) in (ask(there, "ls /proc/hpc/remote").block or [])
        assert (process(there, guest)["home"], process(there, guest)["where"]) == (1, there.number)
        assert str(guest) not in (ask(asking, "ls /proc/hpc/remote").block or [])
        told = events(first, there.number, "migrated")[-1]
        assert told["reason"].startswith(f"job {job.number} of nobody moved to node {there.number}")
    job.move("home")
    assert get_cur_node(second, first, job.pid) == 1
    assert ask(first, f"get /proc/{job.pid}/where").block == ["0"]
    assert ask(third, f"where {job.pid} 1") == Reply(200, "1")


def test_what_is_sent_from_home_arrives(three: list[Host]) -> None:
    """Signals, a new niceness and the end reach it over there; it answers as it would here."""
    home = three[0]
    job = Job(home, "-n", "1", "sh", "-c", _LISTENS, user="nobody")
    eventually(lambda: job.out == b"up\n")
    job.move("2")
    assert ask(home, f"signal {job.pid} USR1").code == 200
    eventually(lambda: job.out == b"up\nusr1\n")
    assert ask(home, f"renice {job.pid} 7").code == 200
    assert process(home, job.pid)["nice"] == 7
    job.move("3")
    assert process(home, job.pid)["nice"] == 7
    assert ask(home, f"lock {job.pid}").code == 200
    assert (process(home, job.pid)["lock"], job.row()["lock"]) == (True, True)
    job.move("home")  # by hand a locked one moves
    assert ask(home, f"get /proc/{job.pid}/lock").block == ["1"]
    assert ask(home, f"unlock {job.pid}").code == 200
    job.move("2")
    assert ask(home, f"get /proc/{job.pid}/lock").block == ["0"]
    assert ask(home, f"kill {job.number}").code == 200
    assert job.wait() == 9
    assert job.out == b"up\nusr1\nterm\n"


def test_a_detached_job_leaves_all_of_its_output_at_home(three: list[Host]) -> None:
    """Moved twice while it writes to both streams, and read all the time by one who attached before."""
    home = three[0]
    script = "i=0; while [ $i -lt 400 ]; do echo $i; echo e$i >&2; i=$((i+1)); sleep 0.01; done; exit 4"
    number = Gom(home, "run", "--detach", "-n", "1", "sh", "-c", script)
    assert number.wait() == 0
    job = int(number.out)
    reader = Gom(home, "attach", str(job))
    for target in (2, 3):
        assert ask(home, f"migrate {row_of(home, job)['pid']} {target}").code == 200
        assert row_of(home, job)["node"] == target
    out = b"".join(b"%d\n" % each for each in range(400))
    error = b"".join(b"e%d\n" % each for each in range(400))
    for reads in (reader, Gom(home, "attach", str(job))):
        assert (reads.wait(), reads.out, reads.err) == (4, out, error)
    assert (row_of(home, job)["node"], row_of(home, job)["nmigs"]) == (3, 2)


def test_a_child_that_ended_comes_along(three: list[Host]) -> None:
    """A process that has ended, and that its parent has not asked for yet, keeps nobody's job from moving."""
    program = (
        "import os, sys\n"
        "child = os.posix_spawn('/bin/sh', ['sh', '-c', 'exit 7'], {})\n"
        "os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)\n"
        "print('ended', flush=True)\n"
        "sys.stdin.read()\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)\n"
    )
    job = Job(three[0], "-n", "1", "/usr/bin/python3", "-c", program, user="nobody")
    eventually(lambda: job.out == b"ended\n")
    job.tour()
    job.close()
    assert (job.wait(), job.out, job.err) == (0, b"ended\n7\n", b"")
