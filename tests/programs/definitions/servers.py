"""Servers: nobody is connected when they move, and what asks them afterwards finds them where they are."""

from __future__ import annotations

from typing import Final

from tests.programs.definition import Program, Refused
from tests.programs.steps import Beside, Companion, Move, Seen, Signal, Written

_REDIS: Final = (
    "redis-server",
    "--port",
    "6379",
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
)
_REDIS_NEEDS: Final = {"redis-server": "redis-server", "redis-cli": "redis-tools"}
_REDIS_READY = Seen(b"Ready to accept connections")


def _ask_redis(*words: str) -> Beside:
    return Beside(("redis-cli", "--raw", *words))


_NGINX_CONF = """
daemon off;
worker_processes 2;
pid nginx.pid;
error_log stderr notice;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
    server { listen 127.0.0.1:8080; root .; location / { } }
}
"""
_NGINX: Final = ("nginx", "-p", ".", "-c", "nginx.conf", "-e", "stderr")
_NGINX_NEEDS: Final = {"nginx": "nginx-light", "curl": "curl"}
_NGINX_READY = Written("nginx.pid", 1)
_FETCH = Beside(("curl", "-sS", "--retry", "5", "--retry-connrefused", "http://127.0.0.1:8080/page"))
_NGINX_FILES: Final = {"nginx.conf": _NGINX_CONF, "page": "a page\n" * 1000, "temp/empty": ""}

_MEMCACHED: Final = ("memcached", "-l", "127.0.0.1", "-p", "11211", "-U", "0", "-t", "2")


def _ask_memcached(words: str) -> Beside:
    return Beside(("sh", "-c", f"printf '{words}\\r\\nquit\\r\\n' | nc -N 127.0.0.1 11211"))


_ECHO_UDP = """
import socket
ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ours.bind(("127.0.0.1", 7007))
print("ready", flush=True)
for number in range(3):
    data, sender = ours.recvfrom(100)
    ours.sendto(data.upper(), sender)
    print(number, data, flush=True)
"""
_ASK_UDP = Beside(
    (
        "/usr/bin/python3",
        "-c",
        (
            "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20); "
            "s.sendto(b'hello', ('127.0.0.1', 7007)); print(s.recv(100))"
        ),
    )
)

_SELF = """
import socket, threading, hashlib
listening = socket.create_server(("127.0.0.1", 0))
ours = socket.create_connection(listening.getsockname())
theirs, _ = listening.accept()
listening.close()
def echo():
    while data := theirs.recv(65536):
        theirs.sendall(data)
threading.Thread(target=echo, daemon=True).start()
value = b"x"
for number in range(200000):
    ours.sendall(value)
    got = b""
    while len(got) < len(value):
        got += ours.recv(65536)
    value = hashlib.sha256(got).digest() * (number % 9 + 1)
print(value.hex())
"""

PROGRAMS: Final = (
    Program(
        "redis idle",
        "a server with nobody connected, asked before and after each move",
        _REDIS,
        _REDIS_NEEDS,
        ignore=("appendonlydir/*.rdb",),
        steps=(
            _REDIS_READY,
            _ask_redis("set", "a", "1"),
            Move(),
            _ask_redis("incr", "a"),
            _ask_redis("get", "a"),
            Move(),
            _ask_redis("incr", "a"),
            Signal("TERM"),
        ),
        mask=(rb"[^\n]*\n",),
    ),
    Program(
        "redis with a client",
        "the client waits for a message",
        _REDIS,
        _REDIS_NEEDS,
        ignore=("appendonlydir/*.rdb",),
        steps=(
            _REDIS_READY,
            Companion(("redis-cli", "subscribe", "news"), b"subscribe"),
            Move(),
            _ask_redis("publish", "news", "still here"),
            Signal("TERM"),
        ),
        expect=Refused(r"TCP connection to 127\.0\.0\.1:\d+"),
        mask=(rb"[^\n]*\n",),
    ),
    Program(
        "nginx idle",
        "a master and two workers, asked before and after each move",
        _NGINX,
        _NGINX_NEEDS,
        _NGINX_FILES,
        steps=(_NGINX_READY, _FETCH, Move(), _FETCH, Move(), _FETCH, Signal("QUIT")),
        mask=(rb"[^\n]*\n",),
    ),
    Program(
        "nginx with a client",
        "the client has sent half of a request",
        _NGINX,
        _NGINX_NEEDS,
        _NGINX_FILES,
        steps=(
            _NGINX_READY,
            Companion(
                ("sh", "-c", "(printf 'GET / HTTP/1.1\\r\\n'; echo sent >&2; sleep 50) | nc 127.0.0.1 8080")
            ),
            Beside(("sleep", "0.5")),
            Move(),
            _FETCH,
            Signal("TERM"),
        ),
        expect=Refused(r"TCP connection to 127\.0\.0\.1:\d+"),
        mask=(rb"[^\n]*\n",),
    ),
    Program(
        "memcached idle",
        "threads with epoll, asked before and after each move",
        _MEMCACHED,
        {"memcached": "memcached", "nc": "netcat-openbsd"},
        steps=(
            Beside(
                ("sh", "-c", "for n in 1 2 3 4 5 6 7 8 9; do nc -z 127.0.0.1 11211 && break; sleep 0.2; done")
            ),
            _ask_memcached("set a 0 0 5\\r\\nhello"),
            Move(),
            _ask_memcached("get a"),
            Move(),
            _ask_memcached("get a"),
            Signal("TERM"),
        ),
    ),
    Program(
        "python udp",
        "a server with an unconnected UDP socket",
        ("/usr/bin/python3", "-c", _ECHO_UDP),
        {"/usr/bin/python3": "python3"},
        steps=(Seen(b"ready"), _ASK_UDP, Move(), _ASK_UDP, Move(), _ASK_UDP),
    ),
    Program(
        "python loopback",
        "a TCP connection between its own threads",
        ("/usr/bin/python3", "-c", _SELF),
        {"/usr/bin/python3": "python3"},
    ),
)
