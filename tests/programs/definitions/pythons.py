"""Debian's python3 in the ways it is used for computing."""

from __future__ import annotations

from typing import Final

from tests.programs.definition import ROOT, Program, Refused
from tests.programs.steps import ONE_TRY

_PYTHON = "/usr/bin/python3"
_NEEDS: Final = {_PYTHON: "python3"}
_NUMPY: Final = {_PYTHON: "python3", "f2py3": "python3-numpy"}

_THREADS = """
import hashlib, queue, tempfile, threading
work, results = queue.Queue(), {}
def run():
    while (number := work.get()) is not None:
        value = b"%d" % number
        for _ in range(18000):
            value = hashlib.sha256(value * 100).digest()
        with lock:
            kept.write(b"%d %s\\n" % (number, value.hex().encode()))
            results[number] = value.hex()
lock = threading.Lock()
with tempfile.TemporaryFile() as kept:
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(60):
        work.put(number)
    for thread in threads:
        work.put(None)
    for thread in threads:
        thread.join()
    kept.seek(0)
    lines = sorted(kept, key=lambda line: int(line.split()[0]))
print(len(lines), hashlib.sha256(b"".join(lines)).hexdigest(), results[7])
"""

_POOL = """
import hashlib, multiprocessing, sys
def work(number):
    value = b"%d" % number
    for _ in range(27000):
        value = hashlib.sha256(value * 50).digest()
    return number, value.hex()
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    total = context.Value("l", 0)
    with context.Pool(3) as pool:
        for number, value in pool.imap_unordered(work, range(60)):
            with total.get_lock():
                total.value += int(value[:8], 16)
            with open("results", "a") as file:
                print(number, value, file=file)
    print(total.value)
    lines = sorted(open("results"))
    open("results", "w").writelines(lines)
"""

_MANAGER = """
import hashlib, multiprocessing
def work(names, results, gate):
    while True:
        try:
            number = names.get_nowait()
        except Exception:
            return
        value = b"%d" % number
        for _ in range(15000):
            value = hashlib.sha256(value * 50).digest()
        with gate:
            results[number] = value.hex()
if __name__ == "__main__":
    with multiprocessing.Manager() as manager:
        names, results, gate = manager.Queue(), manager.dict(), manager.Lock()
        for number in range(60):
            names.put(number)
        workers = [multiprocessing.Process(target=work, args=(names, results, gate)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for number in sorted(results.keys()):
            print(number, results[number])
"""

_NUMPY_WORK = """
import numpy, tempfile, os
numbers = numpy.random.default_rng(5)
kept = numpy.memmap("kept.dat", dtype="float64", mode="w+", shape=(40, 200))
matrix = numbers.normal(size=(500, 500))
with tempfile.NamedTemporaryFile(suffix=".npy") as spare:
    for step in range(40):
        values = numpy.linalg.svd(matrix, compute_uv=False)
        kept[step] = values[:200]
        matrix = numpy.sin(matrix * 1.5) + numbers.normal(size=matrix.shape) / 9
        numpy.save(spare.name, matrix)
        matrix = numpy.load(spare.name)
kept.flush()
print(repr(kept.sum()), os.path.getsize("kept.dat"))
"""

_SHARED_MEMORY = """
import multiprocessing, multiprocessing.shared_memory as shared, hashlib
def work(name, part, turns, done):
    memory = shared.SharedMemory(name)
    for turn in range(900):
        turns[part].acquire()
        piece = bytes(memory.buf[part * 65536 : (part + 1) * 65536])
        digest = b"".join(hashlib.sha512(piece + bytes([n])).digest() for n in range(40))
        memory.buf[(1 - part) * 65536 : (1 - part) * 65536 + len(digest)] = digest
        turns[1 - part].release()
    memory.close()
    done.set()
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    memory = shared.SharedMemory(create=True, size=131072)
    turns = [context.Semaphore(1), context.Semaphore(0)]
    events = [context.Event() for _ in range(2)]
    workers = [context.Process(target=work, args=(memory.name, n, turns, events[n])) for n in range(2)]
    for worker in workers:
        worker.start()
    for event in events:
        event.wait()
    for worker in workers:
        worker.join()
    print(hashlib.sha256(memory.buf).hexdigest())
    memory.close()
    memory.unlink()
"""

_ASYNCIO = """
import asyncio, hashlib, signal
async def tick(name, period, count, kept):
    for number in range(count):
        await asyncio.sleep(period)
        kept.append(f"{name} {number}")
async def main():
    kept, caught = [], []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGALRM, lambda: caught.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
    print("ready", flush=True)
    child = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    tasks = [asyncio.create_task(tick(n, n / 50, 240 // n, kept)) for n in range(1, 5)]
    for number in range(60):
        child.stdin.write(b"%d\\n" % number)
        assert int(await child.stdout.readline()) == number
        await loop.run_in_executor(None, lambda: hashlib.sha256(b"x" * 20000000).hexdigest())
    child.stdin.close()
    await child.wait()
    await asyncio.gather(*tasks)
    print(len(kept), len(set(kept)), len(caught) > 3)
asyncio.run(main())
"""

PROGRAMS: Final = (
    Program(
        "python threads",
        "four threads, a queue, a lock, a deleted temporary file",
        (_PYTHON, "work.py"),
        _NEEDS,
        {"work.py": _THREADS},
    ),
    Program(
        "python fork",
        "multiprocessing's pool by fork",
        (_PYTHON, "work.py", "fork"),
        _NEEDS,
        {"work.py": _POOL},
        light=True,
    ),
    Program(
        "python spawn",
        "the same by spawn: named semaphores",
        (_PYTHON, "work.py", "spawn"),
        _NEEDS,
        {"work.py": _POOL},
        ignore=("__pycache__*",),
    ),
    Program(
        "python forkserver",
        "the same by a fork server, which has a socket in /tmp",
        (_PYTHON, "work.py", "forkserver"),
        _NEEDS,
        {"work.py": _POOL},
        steps=ONE_TRY,
        expect=Refused("socket with a name"),
        ignore=("__pycache__*",),
    ),
    Program(
        "python Manager",
        "multiprocessing's manager: a server with sockets in /tmp",
        (_PYTHON, "work.py"),
        _NEEDS,
        {"work.py": _MANAGER},
        steps=ONE_TRY,
        expect=Refused("socket with a name"),
    ),
    Program(
        "python shared memory",
        "two processes that take turns on a segment of /dev/shm",
        (_PYTHON, "work.py"),
        _NEEDS,
        {"work.py": _SHARED_MEMORY},
    ),
    Program(
        "python asyncio",
        "an event loop with timers, a child, a thread pool and an interval timer",
        (_PYTHON, "work.py"),
        _NEEDS,
        {"work.py": _ASYNCIO},
    ),
    Program(
        "numpy",
        "linear algebra with its threads, a mapped file and files in /tmp",
        (_PYTHON, "work.py"),
        _NUMPY,
        {"work.py": _NUMPY_WORK},
    ),
    Program(
        "python as root", "threads, of root's", (_PYTHON, "work.py"), _NEEDS, {"work.py": _THREADS}, user=ROOT
    ),
)
