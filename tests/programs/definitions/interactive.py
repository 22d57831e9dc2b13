"""Programs that people use at a terminal."""

from __future__ import annotations

from typing import Final

from tests.programs.definition import Program
from tests.programs.inputs import words
from tests.programs.steps import Move, Seen, Type, Work, Written

_EXPECT = r"""
set timeout 60
spawn bc -l
expect "warranty"
send "scale=800\n"
for {set n 1} {$n < 9} {incr n} {
    send "l($n + 1) * a(1) > 0\n"
    expect -re {1\r\n}
}
send "quit\n"
expect eof
wait
puts "done"
"""
_PTY = """
import os, pty, sys, time
pid, master = pty.fork()
if pid == 0:
    os.execvp("sh", ["sh", "-c", "while read line; do echo got $line; done"])
for number in range(30):
    os.write(master, b"%d\\n" % number)
    got = b""
    while b"got %d\\r\\n" % number not in got:
        got += os.read(master, 1000)
    time.sleep(0.1)
    print(number, flush=True)
os.close(master)
print(os.waitpid(pid, 0)[1])
"""

PROGRAMS: Final = (
    Program(
        "bash at a prompt",
        "job control: a background job, a stopped one, fg, history",
        ("bash", "--norc", "--noprofile"),
        {"bash": "bash"},
        terminal=True,
        steps=(
            Seen(b"\\$ "),
            Type(b"PS1='o''k> '; x=7; set +o history\n"),
            Seen(b"ok> "),
            Type(b"(while sleep 0.2; do echo tick >>ticks; done) & echo started\n"),
            Seen(b"started\r\n.*ok> "),
            Written("ticks", 10),
            Move(),
            Type(b"echo $((x * 6)); jobs\n"),
            Seen(b"42\r\n.*Running.*ok> "),
            Type(b"sh -c 'echo on; exec cat'\n"),
            Seen(b"\ron\r\n"),
            Type(b"hello\n"),
            Seen(b"hello\r\nhello\r\n"),
            Type(b"\x1a"),
            Seen(b"Stopped.*ok> "),
            Move(),
            Type(b"fg\n"),
            Seen(b"cat'\r\n"),
            Type(b"again\n"),
            Seen(b"again\r\nagain\r\n"),
            Type(b"\x04"),
            Seen(b"ok> "),
            Type(b"kill %1; wait; stty size; test $(wc -l <ticks) -gt 1 && echo tick''ed; rm ticks\n"),
            Seen(b"24 80\r\n.*ticked\r\n.*ok> "),
            Type(b"exit 3\n"),
        ),
        status=3,
        compare_output=False,
    ),
    Program(
        "dash at a prompt",
        "a foreground program that opens /dev/tty, and ^C",
        ("dash",),
        {"dash": "dash"},
        terminal=True,
        steps=(
            Seen(b"\\$ "),
            Type(b"PS1='o''k> '\n"),
            Seen(b"ok> "),
            Type(b"sh -c 'sleep 1; echo to tty >/dev/tty; exec sleep 100'\n"),
            Move(),
            Seen(b"\nto tty\r\n"),
            Move(),
            Type(b"\x03"),
            Seen(b"ok> "),
            Type(b"echo $((6 * 7))\n"),
            Seen(b"42\r\n"),
            Type(b"exit 4\n"),
        ),
        status=4,
        compare_output=False,
        light=True,
    ),
    Program(
        "python at a prompt",
        "readline, and ^C",
        ("/usr/bin/python3", "-q"),
        {"/usr/bin/python3": "python3"},
        terminal=True,
        steps=(
            Seen(b">>> "),
            Type(b"x = 6\n"),
            Seen(b">>> "),
            Move(),
            Type(b"print(x * 7)\n"),
            Seen(b"\r\n42\r\n.*>>> "),
            Type(b"import time; print('sle' + 'eps'); time.sleep(100)\n"),
            Seen(b"sleeps\r\n"),
            Move(),
            Type(b"\x03"),
            Seen(b"KeyboardInterrupt.*>>> "),
            Type(b"open('result', 'w').write(str(x ** 20))\n"),
            Seen(b">>> "),
            Type(b"exit(5)\n"),
        ),
        status=5,
        compare_output=False,
    ),
    Program(
        "vi",
        "a text is written; the window has its size",
        ("vim.tiny", "-u", "NONE", "-n", "text"),
        {"vim.tiny": "vim-tiny"},
        {"text": words(70, 5000)},
        terminal=True,
        steps=(
            Seen(b"text"),
            Type(b"GoA first line\x1b"),
            Seen(b"first line"),
            Move(),
            Type(b"oa second"),
            Seen(b"second"),
            Move(),
            Type(b" line\x1b:2,9d\r"),
            Seen(b"8 fewer lines"),
            Type(b":set lines?\r"),
            Seen(b"lines=24"),
            Type(b":wq\r"),
        ),
        compare_output=False,
    ),
    Program(
        "nano",
        "a text is written",
        ("nano", "-I", "text"),
        {"nano": "nano"},
        terminal=True,
        steps=(
            Seen(b"GNU nano"),
            Type(b"first\r"),
            Seen(b"first"),
            Move(),
            Type(b"second\r"),
            Seen(b"second"),
            Move(),
            Type(b"third\r"),
            Seen(b"third"),
            Type(b"\x0f"),
            Seen(b"Write"),
            Type(b"\r"),
            Seen(b"Wrote"),
            Type(b"\x18"),
        ),
        compare_output=False,
    ),
    Program(
        "emacs",
        "a text is written",
        ("emacs", "-nw", "-Q", "text"),
        {"emacs": "emacs-nox"},
        terminal=True,
        steps=(
            Seen(b"text"),
            Type(b"first\r"),
            Seen(b"first"),
            Move(),
            Type(b"second\r"),
            Seen(b"second"),
            Move(),
            Type(b"third\r"),
            Seen(b"third"),
            Type(b"\x18\x13"),
            Seen(b"Wrote"),
            Type(b"\x18\x03"),
        ),
        compare_output=False,
    ),
    Program(
        "less",
        "at the end of a pipeline: its input is not the terminal",
        ("sh", "-c", "seq 1 100000 | less"),
        {"less": "less"},
        terminal=True,
        steps=(
            Seen(b"22\r\n23\r\n"),
            Type(b" "),
            Seen(b"45\r\n"),
            Move(),
            Type(b"/^777$\r"),
            Seen(b"777"),
            Move(),
            Type(b"G"),
            Seen(b"100000"),
            Type(b"q"),
        ),
        compare_output=False,
    ),
    Program(
        "top",
        "draws itself anew after each move",
        ("top", "-d", "0.5"),
        {"top": "procps"},
        terminal=True,
        steps=(
            Seen(b"top - "),
            Seen(b"top - "),
            Move(),
            Seen(b"top - "),
            Type(b"i"),
            Seen(b"top - "),
            Move(),
            Seen(b"top - "),
            Seen(b"top - "),
            Type(b"q"),
        ),
        compare_output=False,
    ),
    Program(
        "expect",
        "a pseudo-terminal that it opened itself, with bc",
        ("expect", "work.exp"),
        {"expect": "expect", "bc": "bc"},
        {"work.exp": _EXPECT},
        steps=(Work(0.2), Move(), Work(0.2), Move()),
        compare_output=False,
    ),
    Program(
        "python pty",
        "a pseudo-terminal that it opened itself, with a shell",
        ("/usr/bin/python3", "work.py"),
        {"/usr/bin/python3": "python3"},
        {"work.py": _PTY},
        steps=(Seen(b"5\n"), Move(), Seen(b"15\n"), Move()),
    ),
)
