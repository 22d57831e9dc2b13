"""
A program that uses every kind of timer and wait of Linux, run by /usr/bin/python3; standard library only.

Each line of its input is answered by one line of JSON. ``arm`` sets every kind of one-shot timer; any other
line tells how often each timer has expired since the start.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from typing import Any

PERIOD = 0.05
ONCE = 0.4
REALTIME, MONOTONIC, PROCESS_CPU, THREAD_CPU, BOOTTIME = 0, 1, 2, 3, 7
CLOCKS = {"realtime": REALTIME, "monotonic": MONOTONIC, "boottime": BOOTTIME}
TIMER_ABSTIME = 1
SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, SIGEV_THREAD_ID = 0, 1, 2, 4

libc = ctypes.CDLL(None, use_errno=True)
counts: dict[str, int] = {}
armed: dict[str, int] = {}
handlers: dict[int, Any] = {}


class Spec(ctypes.Structure):
    _fields_ = (("interval_s", ctypes.c_long), ("interval_ns", ctypes.c_long),
                ("value_s", ctypes.c_long), ("value_ns", ctypes.c_long))  # fmt: skip


class Time(ctypes.Structure):
    _fields_ = (("s", ctypes.c_long), ("ns", ctypes.c_long))


class Event(ctypes.Structure):
    _fields_ = (("value", ctypes.c_void_p), ("signal", ctypes.c_int), ("notify", ctypes.c_int),
                ("thread", ctypes.c_void_p), ("attribute", ctypes.c_void_p),
                ("more", ctypes.c_char * 32))  # fmt: skip


class ThreadEvent(ctypes.Structure):
    _fields_ = (("value", ctypes.c_void_p), ("signal", ctypes.c_int), ("notify", ctypes.c_int),
                ("tid", ctypes.c_int), ("more", ctypes.c_char * 44))  # fmt: skip


def check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def spec(first: float, then: float = 0.0) -> Spec:
    return Spec(int(then), int(then % 1 * 1e9), int(first), int(first % 1 * 1e9))


def count(name: str, number: int = 1) -> None:
    counts[name] = counts.get(name, 0) + number


def now(clock: int) -> float:
    return time.clock_gettime(clock)


# -- timerfd


def timerfd(clock: int, first: float, then: float = 0.0, absolute: bool = False) -> int:
    made = check(libc.timerfd_create(clock, 0))
    start = now(clock) + first if absolute else first
    check(libc.timerfd_settime(made, int(absolute), ctypes.byref(spec(start, then)), None))
    return made


def read_always(name: str, descriptor: int) -> None:
    while True:
        count(name, struct.unpack("Q", os.read(descriptor, 8))[0])


unread: dict[str, int] = {}


def periodic_timerfds() -> None:
    for label, clock in CLOCKS.items():
        for absolute in (False, True):
            name = f"timerfd {label}{' absolute' * absolute}"
            in_thread(read_always, name, timerfd(clock, PERIOD, PERIOD, absolute))
            unread[f"{name}, read when asked"] = timerfd(clock, PERIOD, PERIOD, absolute)
    epoll = select.epoll()
    polled = {timerfd(clock, PERIOD, PERIOD): label for label, clock in CLOCKS.items()}
    for descriptor in polled:
        epoll.register(descriptor, select.EPOLLIN | select.EPOLLET)

    def wait() -> None:
        while True:
            for descriptor, _events in epoll.poll():
                count(f"timerfd {polled[descriptor]} in epoll", struct.unpack("Q", os.read(descriptor, 8))[0])

    in_thread(wait)


def one_shot_timerfds() -> None:
    for label, clock in CLOCKS.items():
        for absolute in (False, True):
            name = f"timerfd {label} once{' absolute' * absolute}"
            armed[name] = armed.get(name, 0) + 1
            made = timerfd(clock, ONCE, 0.0, absolute)

            def wait(name: str = name, made: int = made) -> None:
                count(name, struct.unpack("Q", os.read(made, 8))[0])
                os.close(made)

            in_thread(wait)


# -- interval timers: a process has one of each


def interval_timers() -> None:
    for which, number in ((signal.ITIMER_REAL, signal.SIGALRM), (signal.ITIMER_VIRTUAL, signal.SIGVTALRM),
                          (signal.ITIMER_PROF, signal.SIGPROF)):  # fmt: skip
        name = f"setitimer {number.name}"
        on_signal(number, name)
        signal.setitimer(which, PERIOD, PERIOD)


def alarm_in_a_child() -> None:
    reading, writing = os.pipe()
    armed["alarm"] = armed.get("alarm", 0) + 1
    if os.fork() == 0:
        signal.signal(signal.SIGALRM, lambda *_: os._exit(os.write(writing, b"1") - 1))
        signal.alarm(1)
        while True:
            time.sleep(0.2)

    def wait() -> None:
        os.read(reading, 1)
        count("alarm")
        os.wait()
        os.close(reading)
        os.close(writing)

    in_thread(wait)


# -- POSIX timers


def posix_timer(
    clock: int, event: Event | ThreadEvent, first: float, then: float, absolute: bool
) -> ctypes.c_void_p:
    made = ctypes.c_void_p()
    check(libc.timer_create(clock, ctypes.byref(event), ctypes.byref(made)))
    start = now(clock) + first if absolute else first
    check(libc.timer_settime(made, int(absolute), ctypes.byref(spec(start, then)), None))
    return made


def on_signal(number: int, name: str) -> None:
    signal.signal(number, lambda _number, _frame: count(name))


def periodic_posix_timers() -> None:
    free = iter(range(signal.SIGRTMIN + 1, signal.SIGRTMAX))
    clocks = {**CLOCKS, "process cpu": PROCESS_CPU, "thread cpu": THREAD_CPU}
    for label, clock in clocks.items():
        for absolute in (False, True):
            name, number = f"timer_create {label}{' absolute' * absolute}", next(free)
            on_signal(number, name)
            posix_timer(clock, Event(None, number, SIGEV_SIGNAL), PERIOD, PERIOD, absolute)
    name, number = "timer_create for a thread", next(free)
    on_signal(number, name)

    def threaded() -> None:
        posix_timer(MONOTONIC, ThreadEvent(None, number, SIGEV_THREAD_ID, threading.get_native_id()),
                    PERIOD, PERIOD, False)  # fmt: skip
        while True:
            time.sleep(60)

    in_thread(threaded)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _value: count("timer_create in a thread"))
    handlers[0] = function
    posix_timer(
        MONOTONIC, Event(None, 0, SIGEV_THREAD, ctypes.cast(function, ctypes.c_void_p)), PERIOD, PERIOD, False
    )
    silent = posix_timer(MONOTONIC, Event(None, 0, SIGEV_NONE), PERIOD, PERIOD, False)

    def look() -> None:
        left, last = Spec(), 0
        while True:
            check(libc.timer_gettime(silent, ctypes.byref(left)))
            if left.value_ns > last:
                count("timer_create without a signal")
            last = left.value_ns
            time.sleep(PERIOD / 5)

    in_thread(look)


once_signals: dict[str, int] = {}


def one_shot_posix_timers() -> None:
    free = iter(range(signal.SIGRTMAX, signal.SIGRTMIN, -1))
    for label, clock in CLOCKS.items():
        for absolute in (False, True):
            name, number = f"timer_create {label} once{' absolute' * absolute}", next(free)
            armed[name] = armed.get(name, 0) + 1
            on_signal(number, name)
            posix_timer(clock, Event(None, number, SIGEV_SIGNAL), ONCE, 0.0, absolute)


# -- waits


def sleeps() -> None:
    def relative(name: str, clock: int) -> None:
        span = Time(0, int(PERIOD * 1e9))
        while True:
            rest = Time(span.s, span.ns)
            while libc.clock_nanosleep(clock, 0, ctypes.byref(rest), ctypes.byref(rest)):
                pass
            count(name)

    def absolute(name: str, clock: int) -> None:
        at = now(clock)
        while True:
            at += PERIOD
            end = Time(int(at), int(at % 1 * 1e9))
            while libc.clock_nanosleep(clock, TIMER_ABSTIME, ctypes.byref(end), None):
                pass
            count(name)

    for label, clock in CLOCKS.items():
        in_thread(relative, f"clock_nanosleep {label}", clock)
        in_thread(absolute, f"clock_nanosleep {label} absolute", clock)


def waits() -> None:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(PERIOD * 1e6)))
    epoll, poll, condition = select.epoll(), select.poll(), threading.Condition()
    handlers[1] = (ours, theirs)

    def forever(name: str, wait: Any) -> None:
        while True:
            wait()
            count(name)

    def receive() -> None:
        try:
            ours.recv(1)
        except BlockingIOError:
            pass

    def condition_wait() -> None:
        with condition:
            condition.wait(PERIOD)

    for name, wait in (
        ("epoll_wait", lambda: epoll.poll(PERIOD)), ("poll", lambda: poll.poll(PERIOD * 1000)),
        ("select", lambda: select.select([], [], [], PERIOD)), ("recv", receive),
        ("condition", condition_wait),
        ("sleep", lambda: time.sleep(PERIOD)),
    ):  # fmt: skip
        in_thread(forever, name, wait)


def in_thread(work: Any, *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def busy() -> None:
    """Use some processor time, so that the clocks of processor time go on: the main thread's too."""
    while True:
        end = time.monotonic() + 0.01
        while time.monotonic() < end:
            pass
        time.sleep(0.02)


#: Memory that takes time to send.
ballast = bytearray(int(sys.argv[1]) if len(sys.argv) > 1 else 0)


def main() -> None:
    for place in range(0, len(ballast), 4096):
        ballast[place] = 1
    periodic_timerfds()
    interval_timers()
    periodic_posix_timers()
    sleeps()
    waits()
    in_thread(busy)
    reader = select.poll()
    reader.register(0, select.POLLIN)
    buffered = b""
    while True:
        end = time.thread_time() + 0.005
        while time.thread_time() < end:  # for the clock of this thread's processor time
            pass
        if not reader.poll(20):
            continue
        data = os.read(0, 4096)
        if not data:
            os._exit(0)
        *lines, buffered = (buffered + data).split(b"\n")
        for line in lines:
            if line == b"arm":
                one_shot_timerfds()
                one_shot_posix_timers()
                alarm_in_a_child()
            for name, descriptor in unread.items():
                os.set_blocking(descriptor, False)
                try:
                    count(name, struct.unpack("Q", os.read(descriptor, 8))[0])
                except BlockingIOError:
                    pass
            clocks = {name: now(clock) for name, clock in CLOCKS.items()}
            told = {"counts": counts, "armed": armed, "clocks": clocks, "cpu": time.process_time(),
                    "times": os.times()[:2], "children": os.times()[2:4]}  # fmt: skip
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    sys.setswitchinterval(0.001)
    main()
