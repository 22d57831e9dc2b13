"""The shipped unit under a real systemd: what an administrator sees of systemctl, and a user of gomd."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import pytest

from tests.integration.systemd.machine import CONTRIB, Machine, wait_until

TWO_MISTAKES = "[telnet]\nanonymous = everybody\nmax_lin = 3\n"


def pid_of(machine: Machine) -> int:
    """Return the pid of the daemon, 0 when it does not run."""
    return int(machine.show("MainPID")["MainPID"])


def configure(machine: Machine, ini: str) -> None:
    """Write /etc/gomd/gomd.ini."""
    machine.write("/etc/gomd/gomd.ini", ini)


def drop_in(machine: Machine, text: str) -> None:
    """Change the unit as `systemctl edit` does."""
    machine.write("/etc/systemd/system/gomd.service.d/test.conf", text)
    machine.run("systemctl", "daemon-reload")


def ask(machine: Machine, *words: str, user: str | None = None) -> str:
    """Ask the daemon over tcp, where nobody is known, or as a user."""
    words = words if user else ("-c", "tcp:127.0.0.1:2901", *words)
    done = machine.try_("gom", *words, user=user)
    return done.stdout + done.stderr


def messages(machine: Machine) -> list[tuple[int, str]]:
    """Return priority and text of what gomd wrote to the journal in this test."""
    lines = machine.journal("-o", "json", "-t", "gomd").splitlines()
    rows = [json.loads(line) for line in lines]
    return [(int(row["PRIORITY"]), str(row["MESSAGE"])) for row in rows]


def running_job(machine: Machine, user: str = "ann") -> tuple[str, int]:
    """Start a detached job that sleeps; return its number and its pid on the machine."""
    number = machine.run("gom", "run", "--detach", "sleep", "600", user=user).split()[-1]
    return number, job_pid(machine, number)


def job_pid(machine: Machine, number: str) -> int:
    """Return the pid of a job that runs."""
    rows = [json.loads(line) for line in machine.run("gom", "--json", "jobs").splitlines()]
    [row] = [row for row in rows if str(row["job"]) == number]
    assert row["state"] == "running", row
    return int(row["pid"])


# -- starting


def test_when_systemctl_start_returns_it_answers_everybody(machine: Machine) -> None:
    """READY comes when every endpoint listens; a user reaches it over /run/gomd and runs a job."""
    machine.run("systemctl", "start", "gomd")
    assert machine.show("ActiveState", "StatusText") == {"ActiveState": "active", "StatusText": "answering"}
    assert ask(machine, "load").strip().isdigit()
    modes = machine.run("stat", "-c", "%a %U", "/run/gomd", "/run/gomd/gomd.sock", "/var/lib/gomd")
    assert modes.splitlines() == ["755 root", "666 root", "700 root"]
    assert machine.run("gom", "run", "id", "-un", user="ann").strip() == "ann"
    assert "ann" in machine.run("gom", "whoami", user="ann")


def test_what_it_logs_has_a_priority(machine: Machine) -> None:
    """`journalctl -p err` shows what went wrong, and only that."""
    machine.run("systemctl", "start", "gomd")
    pid = pid_of(machine)
    configure(machine, TWO_MISTAKES)
    machine.run("kill", "-HUP", str(pid))
    wait_until(lambda: sum("stays as it was" in text for _priority, text in messages(machine)) >= 2)
    found = messages(machine)
    assert all(priority == 3 for priority, text in found if "stays as it was" in text)
    assert all(priority == 6 for priority, text in found if "#info]" in text)
    assert not [text for _priority, text in found if re.match(r"<\d>", text)]


def test_a_wrong_gomd_ini_fails_once_with_every_mistake(machine: Machine) -> None:
    """It is not tried again: that does not pass by itself. What is wrong stands in the journal as errors."""
    configure(machine, TWO_MISTAKES)
    assert machine.try_("systemctl", "start", "gomd").returncode != 0
    shown = machine.show("ActiveState", "NRestarts", "ExecMainStatus")
    assert shown == {"ActiveState": "failed", "NRestarts": "0", "ExecMainStatus": "78"}
    for word in ("anonymous", "max_lin"):  # the journal takes its time
        wait_until(lambda word=word: any(word in text for _priority, text in messages(machine)))
    assert {priority for priority, text in messages(machine) if text.startswith("gomd: ")} == {3}
    configure(machine, "")
    machine.run("systemctl", "start", "gomd")


def test_an_address_that_comes_late_is_waited_for(machine: Machine) -> None:
    """A node's address comes 25 s after its start at boot: it is up a few seconds later, whoever waits."""
    machine.run("gom", "key", "new", "/etc/key")
    configure(machine, "[peers]\naddress = 10.9.8.7\nkey_file = /etc/key\ndiscovery = no\n")
    machine.try_("systemctl", "start", "gomd")
    time.sleep(25.0)
    shown = machine.show("ActiveState", "NRestarts")
    assert shown["ActiveState"] == "activating", machine.journal()
    assert any("10.9.8.7" in text and priority == 3 for priority, text in messages(machine))
    machine.run("ip", "addr", "add", "10.9.8.7/32", "dev", "lo")
    try:
        wait_until(lambda: machine.show("ActiveState")["ActiveState"] == "active")
        assert ask(machine, "load").strip().isdigit()
    finally:
        machine.run("ip", "addr", "del", "10.9.8.7/32", "dev", "lo")


def test_however_often_it_fails_it_is_tried_again(machine: Machine) -> None:
    """A port that another program has for long: far more tries than systemd's five, and then it runs."""
    drop_in(machine, "[Service]\nRestartSec=100ms\nRestartMaxDelaySec=100ms\n")
    machine.run("systemd-run", "--unit=taker", "/opt/gomd/bin/python", "-c", (
        "import socket, time; s = socket.create_server(('127.0.0.1', 2901)); time.sleep(600)"
    ))  # fmt: skip
    try:
        machine.try_("systemctl", "start", "gomd")
        wait_until(lambda: int(machine.show("NRestarts")["NRestarts"]) > 5)
    finally:
        machine.run("systemctl", "stop", "taker")
    wait_until(lambda: machine.show("ActiveState")["ActiveState"] == "active")


# -- reloading


def test_reload_takes_a_good_configuration_over(machine: Machine) -> None:
    """The process stays the same one."""
    machine.run("systemctl", "start", "gomd")
    pid = pid_of(machine)
    configure(machine, "[telnet]\nanonymous = none\n")
    machine.run("systemctl", "reload", "gomd")
    wait_until(lambda: "auth" in ask(machine, "load"))
    assert pid_of(machine) == pid


@pytest.mark.parametrize("ini", [TWO_MISTAKES, "[telnet\n"])
def test_reload_of_a_broken_configuration_fails(machine: Machine, ini: str) -> None:
    """`systemctl reload` says so by its status; the daemon goes on as it was, and takes the next one."""
    configure(machine, "[telnet]\nanonymous = none\n")
    machine.run("systemctl", "start", "gomd")
    pid = pid_of(machine)
    configure(machine, ini)
    assert machine.try_("systemctl", "reload", "gomd").returncode != 0
    assert (machine.show("ActiveState")["ActiveState"], pid_of(machine)) == ("active", pid)
    assert "auth" in ask(machine, "load")
    configure(machine, "[telnet]\nanonymous = read\n")
    machine.run("systemctl", "reload", "gomd")
    wait_until(lambda: ask(machine, "load").strip().isdigit())


def test_options_of_the_command_line_count_for_the_check_too(machine: Machine) -> None:
    """/etc/default/gomd names another file; a reload checks that one."""
    machine.write("/etc/default/gomd", "GOMD_OPTIONS=--config /etc/gomd/other.ini --name gamma\n")
    machine.write("/etc/gomd/other.ini", "[telnet]\nanonymous = read\n")
    configure(machine, TWO_MISTAKES)
    machine.run("systemctl", "start", "gomd")
    assert "gamma" in ask(machine, "node")
    machine.run("systemctl", "reload", "gomd")
    machine.write("/etc/gomd/other.ini", TWO_MISTAKES)
    assert machine.try_("systemctl", "reload", "gomd").returncode != 0


# -- its end, and jobs


def test_jobs_outlive_a_restart_and_a_stop(machine: Machine) -> None:
    """Restarted, stopped and started, killed: the job is the same process, and gomd knows it."""
    machine.run("systemctl", "start", "gomd")
    number, pid = running_job(machine)
    for deed in (("restart",), ("stop",), ("start",), ("kill", "--kill-whom=main", "--signal=KILL")):
        before = pid_of(machine)
        machine.run("systemctl", *deed, "gomd")
        if deed == ("stop",):
            assert not pid_of(machine)
            assert machine.run("ps", "-o", "args=", "-p", str(pid)).strip() == "sleep 600"
            continue
        wait_until(lambda before=before: pid_of(machine) not in (0, before))
        wait_until(lambda: machine.show("ActiveState")["ActiveState"] == "active")
        assert job_pid(machine, number) == pid
    machine.run("gom", "kill", number, user="ann")
    wait_until(lambda: not machine.run("ps", "-o", "args=", "-p", str(pid), check=False).strip())


def test_a_daemon_that_hangs_is_started_anew(machine: Machine) -> None:
    """Stopped by SIGSTOP it pings no more: systemd kills it and starts another, and jobs go on."""
    drop_in(machine, "[Service]\nWatchdogSec=8\nRestartSec=100ms\n")
    machine.run("systemctl", "start", "gomd")
    number, job = running_job(machine)
    pid = pid_of(machine)
    time.sleep(10.0)
    assert machine.show("NRestarts")["NRestarts"] == "0", "it was killed though it did not hang"
    machine.run("kill", "-STOP", str(pid))
    wait_until(lambda: pid_of(machine) not in (0, pid))
    wait_until(lambda: machine.show("ActiveState")["ActiveState"] == "active")
    assert machine.show("NRestarts")["NRestarts"] == "1"
    assert job_pid(machine, number) == job


def test_what_the_unit_sets_for_the_kernel(machine: Machine) -> None:
    """One job's kill by the kernel does not stop the daemon, which is chosen after the jobs."""
    machine.run("systemctl", "start", "gomd")
    assert machine.show("OOMPolicy", "KillMode", "Delegate") == {
        "OOMPolicy": "continue", "KillMode": "process", "Delegate": "yes",
    }  # fmt: skip
    assert machine.show("OOMScoreAdjust")["OOMScoreAdjust"] == "-500"


def test_a_job_that_takes_too_much_memory_does_not_stop_the_daemon(machine: Machine) -> None:
    """The kernel kills the job alone."""
    if "memory" not in machine.run("cat", "/sys/fs/cgroup/cgroup.controllers").split():
        pytest.skip("the kernel's memory controller is not in the unified hierarchy here (cgroup v1)")
    drop_in(machine, "[Service]\nMemoryMax=400M\nMemorySwapMax=0\n")
    machine.run("systemctl", "start", "gomd")
    pid = pid_of(machine)
    done = machine.try_("gom", "run", "python3", "-c", "x = b'x' * 2**30; print(len(x))", user="ann")
    assert done.returncode == 137, done
    assert (machine.show("ActiveState")["ActiveState"], pid_of(machine)) == ("active", pid)


def test_what_the_unit_forbids_does_not_reach_jobs(machine: Machine) -> None:
    """A job may do what its user may at a login: set-uid programs, every system call, root's capabilities."""
    machine.run("systemctl", "start", "gomd")
    by_hand = dict(line.split(":\t", 1) for line in machine.run("cat", "/proc/1/status").splitlines())
    for user in (None, "ann"):
        text = machine.run("gom", "run", "cat", "/proc/self/status", user=user)
        status = dict(line.split(":\t", 1) for line in text.splitlines())
        assert (status["NoNewPrivs"], status["Seccomp"], status["CapBnd"]) == ("0", "0", by_hand["CapBnd"])
    assert machine.run("gom", "run", "mount", user="ann").count("/proc ") >= 1
    # the daemon's umask is not a job's
    assert machine.run("gom", "run", "sh", "-c", "umask", user="ann").strip() != "0077"
    environment = machine.run("gom", "run", "env", user="ann")
    for name in ("NOTIFY_SOCKET", "STATE_DIRECTORY", "JOURNAL_STREAM", "LISTEN_FDS", "WATCHDOG_USEC"):
        assert f"{name}=" not in environment
    assert machine.run("gom", "run", "su", "ann", "-c", "id -un").strip() == "ann"


def test_a_node_that_only_answers_can_be_locked_up(machine: Machine) -> None:
    """With contrib/gomd-answers-only.conf it answers as ever."""
    drop_in(machine, (CONTRIB / "gomd-answers-only.conf").read_text())
    machine.run("systemctl", "start", "gomd")
    assert ask(machine, "load").strip().isdigit()
    assert "systemd" in ask(machine, "ps", "1")
    assert machine.run("grep", "NoNewPrivs", f"/proc/{pid_of(machine)}/status").split()[1] == "1"


# -- directories and sockets of systemd's


@pytest.mark.parametrize("who", ["User=gomd", "DynamicUser=yes\nRuntimeDirectoryPreserve=no"])
def test_a_user_of_its_own_keeps_state_where_the_unit_says(machine: Machine, who: str) -> None:
    """`User=gomd` uses /var/lib/gomd and /run/gomd, no home directory; its [commands] see nothing of that."""
    if who == "User=gomd":
        machine.run("useradd", "--system", "gomd", check=False)
    drop_in(machine, f"[Service]\n{who}\n")
    configure(machine, "[commands]\nenv = /usr/bin/env\n")
    machine.run("systemctl", "start", "gomd")
    files = ("/var/lib/gomd/lock", "/run/gomd/gomd.sock")
    owners = machine.run("stat", "-c", "%U", *files).split()
    assert "Dynamic" in who or owners == ["gomd", "gomd"]  # out here a dynamic user's are mapped
    assert " 0" not in machine.run("grep", "Uid", f"/proc/{pid_of(machine)}/status").replace("\t", " ")
    assert "user" in machine.run("gom", "-c", "unix:/run/gomd/gomd.sock", "whoami", user="ann")
    environment = machine.run("gom", "-c", "unix:/var/lib/gomd/gomd.sock", "do", "env")
    assert "DIRECTORY" not in environment
    assert "HOME=/\n" in environment


def test_directories_of_other_names(machine: Machine) -> None:
    """StateDirectory, RuntimeDirectory and ConfigurationDirectory are honoured."""
    drop_in(machine, (
        "[Service]\nStateDirectory=\nStateDirectory=other\nRuntimeDirectory=\nRuntimeDirectory=other\n"
        "ConfigurationDirectory=\nConfigurationDirectory=other\n"
    ))  # fmt: skip
    machine.write("/etc/other/gomd.ini", "[node]\nname = delta\n")
    configure(machine, "[node]\nname = wrong\n")
    machine.run("systemctl", "start", "gomd")
    assert "delta" in ask(machine, "node")
    assert machine.try_("test", "-e", "/var/lib/other/lock").returncode == 0
    assert machine.run("gom", "-c", "unix:/run/other/gomd.sock", "load", user="ann").strip().isdigit()
    assert machine.try_("test", "-e", "/var/lib/gomd/lock").returncode == 1
    machine.run("rm", "-rf", "/var/lib/other", "/etc/other")


def test_systemd_opens_the_sockets(machine: Machine) -> None:
    """With gomd.socket the first connection starts it, and none is refused while it restarts."""
    machine.write("/etc/systemd/system/gomd.socket", (CONTRIB / "gomd.socket").read_text())
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "gomd.socket")
    assert not pid_of(machine)
    assert machine.run("gom", "-c", "unix:/run/gomd/gomd.sock", "load", user="ann").strip().isdigit()
    first = pid_of(machine)
    assert first
    machine.run("systemctl", "restart", "--no-block", "gomd")
    for _question in range(10):  # what the old one had accepted is closed by it, nobody is turned away
        answer = ask(machine, "load").strip()
        assert answer.isdigit() or "closed the connection" in answer
    wait_until(lambda: pid_of(machine) not in (0, first))
    assert machine.run("gom", "run", "id", "-un", user="ann").strip() == "ann"
    machine.run("systemctl", "stop", "gomd")
    assert ask(machine, "load").strip().isdigit(), "the sockets were closed with the service"
    assert not [text for priority, text in messages(machine) if priority <= 3]


def test_a_socket_for_the_metrics(machine: Machine) -> None:
    """FileDescriptorName=http serves /metrics there, though [http] endpoint is empty."""
    socket_unit = "[Socket]\nListenStream=127.0.0.1:2980\nFileDescriptorName=http\nService=gomd.service\n"
    machine.write("/etc/systemd/system/gomd.socket", socket_unit)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "gomd.socket")
    fetch = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:2980/metrics').read().decode())"
    assert "gomd_" in machine.run("/opt/gomd/bin/python", "-c", fetch)


# -- installing it


def test_the_unit_from_a_virtual_environment(machine: Machine) -> None:
    """`make install-unit` (docs/service.md) writes the whole path of its twistd, whatever is in it."""
    text = (CONTRIB / "gomd.service").read_text()
    place = "/srv/my gomd 100%n"
    machine.run("mkdir", place)
    machine.run("ln", "-s", "/opt/gomd/bin", f"{place}/bin")
    installed = subprocess.run(
        [sys.executable, CONTRIB / "install-unit", f"{place}/bin"],
        input=text, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    machine.write("/etc/systemd/system/gomd.service", installed)
    try:
        machine.run("systemctl", "daemon-reload")
        assert machine.run("systemd-analyze", "verify", "gomd.service", check=False).strip() == ""
        machine.run("systemctl", "start", "gomd")
        assert place in machine.run("cat", f"/proc/{pid_of(machine)}/cmdline")
        machine.run("systemctl", "reload", "gomd")
        assert ask(machine, "load").strip().isdigit()
    finally:
        machine.write("/etc/systemd/system/gomd.service", text)


def test_started_by_hand_it_opens_its_directory_to_users(machine: Machine) -> None:
    """As in docs/service.md: root's daemon makes /run/gomd itself; a umask of 077 does not close it."""
    for before in ("", "mkdir -m 700 /run/gomd; "):
        machine.run("rm", "-rf", "/run/gomd")
        start = f"{before}umask 077; exec twistd --pidfile /run/gomd.pid --logfile /tmp/gomd.log gomd"
        machine.run("sh", "-c", start)
        wait_until(lambda: machine.try_("gom", "whoami").stdout.startswith("admin"))
        assert machine.run("stat", "-c", "%a", "/run/gomd", "/run/gomd/gomd.sock").split() == ["755", "666"]
        assert machine.run("gom", "run", "id", "-un", user="ann").strip() == "ann"
        machine.run("gom", "shutdown")
        wait_until(lambda: machine.try_("test", "-e", "/run/gomd.pid").returncode == 1)
