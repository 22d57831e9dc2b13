"""
A job whose memory goes ahead of its stop: every page of it is what the job left there, whatever it does.

The program has several processes, each with memory of which it knows what has to be in each page. While it
moves, a thread of each writes to some pages, and maps and unmaps others; another one looks at all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job

#: What each process does; it has three kinds of memory: pages that never change, pages of which one after the
#: other does, and mappings that come and go. All are looked at again and again, and at the end.
_PROGRAM = """
import mmap, os, random, sys, threading, time
PAGE, STILL, BUSY = 4096, {still}, {busy}

def page(place, generation):
    return (b"%016x%016x" % (place, generation)).ljust(64, b".") * (PAGE // 64)

class Part:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.seed = seed << 40
        self.still = mmap.mmap(-1, STILL * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(STILL):
            if at % 7:  # some are never touched, and some have zeros
                self.still[at * PAGE : (at + 1) * PAGE] = page(self.seed + at, 0) if at % 5 else bytes(PAGE)
        self.busy = bytearray(b"".join(page(self.seed + at, 0) for at in range(BUSY)))
        self.generations = [0] * BUSY
        self.lock = threading.Lock()
        self.mapped = {{}}
        self.steps = 0

    def work(self):
        while not done.is_set():
            with self.lock:
                for _ in range(20):
                    at = self.random.randrange(BUSY)
                    self.generations[at] += 1
                    self.busy[at * PAGE : (at + 1) * PAGE] = page(self.seed + at, self.generations[at])
                name = self.random.randrange(30)
                if name in self.mapped:
                    self.mapped.pop(name)[0].close()
                else:
                    size = self.random.randrange(1, 40)
                    new = mmap.mmap(-1, size * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
                    new[:] = b"".join(page(self.seed + name, self.steps + at) for at in range(size))
                    self.mapped[name] = new, size, self.steps
                self.steps += 1
            time.sleep(0.002)

    def check(self):
        for at in range(STILL):
            wanted = (page(self.seed + at, 0) if at % 5 else bytes(PAGE)) if at % 7 else bytes(PAGE)
            if self.still[at * PAGE : (at + 1) * PAGE] != wanted:
                return "still %d" % at
        with self.lock:
            for at, generation in enumerate(self.generations):
                if self.busy[at * PAGE : (at + 1) * PAGE] != page(self.seed + at, generation):
                    return "busy %d" % at
            for name, (mapped, size, first) in self.mapped.items():
                if mapped[:] != b"".join(page(self.seed + name, first + at) for at in range(size)):
                    return "mapped %d" % name
        return ""

done = threading.Event()
shared = Part(99)  # is there in the children too, who change it each for itself
children = []
for seed in (1, 2):
    if (pid := os.fork()) == 0:
        children = None
        break
    children.append(pid)
parts = [shared] if children else [Part(seed), shared]
threads = [threading.Thread(target=part.work) for part in parts]
for thread in threads:
    thread.start()
if children:
    print("ready", flush=True)
    sys.stdin.read()
    os.kill(children[0], 10), os.kill(children[1], 10)
else:
    import signal
    signal.signal(10, lambda *_: done.set())
    looked = 0
    while not done.is_set() and not any(part.check() for part in parts):
        looked += 1
        done.wait(0.05)
done.set()
for thread in threads:
    thread.join()
wrong = [text for part in parts if (text := part.check())]
if children:
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    print("wrong", wrong, ends, flush=True)
    sys.exit(bool(wrong or any(ends)))
if wrong:
    print("wrong in a child", wrong, flush=True)
os._exit(bool(wrong))
"""
#: Pages of each kind, of which three processes have five times as many: 205 MB.
_STILL, _BUSY = 7_000, 3_000


def told(hosts: Sequence[Host]) -> list[int | None]:
    """Return how many bytes went ahead, as the events of the hosts have it."""
    return [row["precopied"] for host in hosts for row in ask(host, "events", as_json=True).rows]


@pytest.mark.parametrize(("user", "targets"), [("root", ("2", "home")), ("nobody", ("3",))])
def test_all_of_its_memory_is_there(three: list[Host], user: str, targets: Sequence[str]) -> None:
    """To other nodes and home: each page is the one that was there, and most went ahead."""
    first, *_others = three
    text = _PROGRAM.format(still=_STILL, busy=_BUSY)
    job = Job(first, "-n", "1", "/usr/bin/python3", "-I", "-S", "-c", text, user=user)
    eventually(lambda: job.out.startswith(b"ready"))
    for target in targets:
        said = ask(first, f"migrate {job.pid} {target}", as_json=True)
        assert said.code == 200, said.text
        value = said.value
        assert value["precopied"] > 100 << 20, value
        assert value["bytes"] > 100 << 20, value
        eventually(lambda ahead=value["precopied"]: ahead in told(three))  # type: ignore[misc]
    job.close()
    status = job.wait()
    assert (status, job.out.split(b"\n")[1]) == (0, b"wrong [] [0, 0]"), (job.out, job.err)
    for host in three:
        left = [path for path in Path(host.home).rglob("moving/*") if not path.name.startswith(".")]
        assert left == []


def test_a_small_job_goes_as_it_was(three: list[Host]) -> None:
    """What takes a moment to send is sent when the job is stopped."""
    first, *_others = three
    job = Job(first, "-n", "1", "sleep", "1000")
    said = ask(first, f"migrate {job.pid} 2", as_json=True)
    assert (said.code, said.value["precopied"]) == (200, 0), said.text
