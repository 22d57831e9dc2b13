"""
The limits of the HTTP way in: connections, requests, bodies, streams, and clients that are slow.

docs/http-api.md states them. Each protects the callers that behave from those that do not.
"""

from __future__ import annotations

from typing import Final

from gomd.verbs.quotas import Group

#: Largest number of connections at once. For one more, another one is closed (`gomd.web.connections`).
MAX_CONNECTIONS: Final = 512
#: Seconds from the connection, or from the end of an answer, until the next request is complete.
REQUEST_TIMEOUT: Final = 30.0
#: Seconds for which a client may leave what was sent to it unread.
STALL_TIMEOUT: Final = 30.0
#: Bytes of one line of the request (the request line, or a header), and of all headers together.
MAX_LINE_BYTES: Final = 16384
MAX_HEADERS_BYTES: Final = 16384
#: Bytes of the body of one request, and of all requests that are being received.
MAX_BODY_BYTES: Final = 262144
MAX_BODIES_BYTES: Final = 8 << 20
#: Seconds for which a connection is kept open after a refusal, so that the client can read it.
REFUSAL_LINGER: Final = 1.0
#: Bytes that are skipped meanwhile; more are not read.
REFUSAL_BYTES: Final = 1 << 20
#: Bytes of one piece of an answer, about a millisecond's work.
PIECE_BYTES: Final = 65536
#: Seconds of silence on an event stream after which a comment is sent, so that both ends know of each other.
HEARTBEAT: Final = 15.0
#: Seconds between two checks whether the caller of a stream still has the rights with which it began.
RECHECK: Final = 5.0
#: Largest number of event streams at once, of each group of callers and of one caller.
MAX_STREAMS: Final = {Group.READERS: 256, Group.USERS: 256, Group.ADMINS: 384}
MAX_STREAMS_PER_CALLER: Final = {Group.READERS: 160, Group.USERS: 160, Group.ADMINS: 256}
#: Largest number of sessions at once, and of one caller; the oldest makes room.
MAX_SESSIONS: Final = 512
MAX_SESSIONS_PER_CALLER: Final = 32
#: Seconds that a session lasts without a request, and at most.
SESSION_IDLE: Final = 12 * 3600.0
SESSION_LIFETIME: Final = 7 * 86400.0
#: Seconds for which a one-time code is good; how many may wait, and how many of one user.
CODE_LIFETIME: Final = 60.0
MAX_CODES: Final = 256
MAX_CODES_PER_USER: Final = 8
#: Unknown tokens and codes of one address in a minute; further ones are refused unread.
MAX_WRONG_TOKENS: Final = 20
#: Tokens that were good here last, which are looked up whatever else comes from their address.
MAX_PROVEN: Final = 256
#: Seconds for which a token that was good is not looked up again.
TOKEN_CACHE: Final = 2.0
