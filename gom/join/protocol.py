"""
The exchange between `gom invite` and `gom init --join`, without I/O.

Both ends know a short code, and nobody else does. SPAKE2 (as magic-wormhole uses it) makes of it a key that
only they share: somebody in between, or elsewhere, learns nothing that lets them try codes later, and
has one try for each exchange. What was said until then (names and addresses of both, and the messages of
SPAKE2 themselves) goes into the key, so that nothing of it can be changed on the way. docs/security.md
describes the exchange and what was thought of.

Messages are JSON objects, one a line::

    joiner  {"join": 1, "name": NAME, "from": ADDRESS, "to": ADDRESS, "pake": HEX}
    inviter {"invite": 1, "name": NAME, "pake": HEX}
    joiner  {"confirm": HEX}
    inviter {"confirm": HEX, "sealed": HEX}
    joiner  {"done": HEX}

or, from either, ``{"error": SENTENCE}`` in place of any of them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from gom.join.agreed import Agreed, checked, unknown
from libgomd.errors import MalformedReply, NotAllowed, NotPossible, RequestError, error_for
from libgomd.installation import installation
from libgomd.wire.text import printable

VERSION: Final = 1
#: Bytes of one message at most.
MAX_MESSAGE: Final = 8192
DIGITS: Final = 8
_JOINER, _INVITER = b"gomd joiner", b"gomd inviter"


class Introduction(NamedTuple):
    """
    What a new node is given.

    :ivar secret: the 32 bytes of the cluster's key. :ivar seeds: HOST:PORT of nodes to ask.
    :ivar multicast: whether the nodes find each other by multicast. :ivar agreed: settings of all
        nodes alike. :ivar unknown: names of others, which this version does not know.
    """

    secret: bytes
    seeds: tuple[str, ...]
    multicast: bool
    agreed: Agreed = ()
    unknown: tuple[str, ...] = ()


class WrongCode(RequestError):
    """The two ends do not know the same code."""


class Pake(Protocol):
    """One end of SPAKE2."""

    def start(self) -> bytes:
        """Return the message for the other end."""

    def finish(self, message: bytes) -> bytes:
        """Return the key. :raises Exception: the other end's message is none."""


def new_code() -> str:
    """Return a new code, eight digits in two groups."""
    digits = f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
    return f"{digits[:4]}-{digits[4:]}"


def digits_of(code: str) -> bytes:
    """Return what both ends make of a code: its digits. :raises NotAllowed: it has not eight of them."""
    digits = "".join(each for each in code if not each.isspace() and each != "-")
    if len(digits) != DIGITS or not (digits.isascii() and digits.isdigit()):
        raise NotAllowed(f"a code has {DIGITS} digits, such as 1234-5678: `gom invite` shows it")
    return digits.encode()


def pake(code: bytes, is_joiner: bool) -> Pake:
    """Return one end of SPAKE2. :raises NotPossible: the package spake2 is not installed."""
    try:
        from spake2 import SPAKE2_A, SPAKE2_B
    except ImportError:
        raise NotPossible(
            f"the package spake2 is missing: {installation().libraries('join')}; "
            f"or copy the key file by hand, {installation().page('keys.md')}"
        ) from None
    made: Pake = (SPAKE2_A if is_joiner else SPAKE2_B)(code, idA=_JOINER, idB=_INVITER)
    return made


class Exchange:
    """
    One end of the exchange: the key, and what was said so far.

    :param code: its digits. :param is_joiner: which end this is.
    """

    def __init__(self, code: bytes, is_joiner: bool) -> None:
        self._pake = pake(code, is_joiner)
        self._is_joiner = is_joiner
        self._said = hashlib.sha256(b"gomd join 1")
        self._key = b""
        self.first = self._pake.start()

    def say(self, line: bytes) -> None:
        """Take a message of either end into the key, in the order in which they are said."""
        self._said.update(len(line).to_bytes(4, "big") + line)

    def meet(self, message: bytes) -> None:
        """Take the other end's message of SPAKE2. :raises MalformedReply: it is none."""
        try:
            key = self._pake.finish(message)
        except Exception as error:  # spake2 has no common class for what is wrong with a message
            raise MalformedReply("the other end does not speak gomd's way of joining") from error
        self._key = _derived(key, b"key" + self._said.digest())

    def confirmation(self, of_joiner: bool) -> bytes:
        """Return what proves that one end has the key."""
        return _derived(self._key, b"joiner confirms" if of_joiner else b"inviter confirms")

    def check(self, confirmation: bytes, of_joiner: bool) -> None:
        """:raises WrongCode: the other end has another key."""
        if not hmac.compare_digest(self.confirmation(of_joiner), confirmation):
            raise WrongCode("the code is wrong, or somebody is in between")

    @property
    def done(self) -> bytes:
        """What says that the joiner has written its key."""
        return _derived(self._key, b"joiner is done")

    def seal(self, introduction: Introduction) -> bytes:
        """Return the introduction, sealed for the joiner. The key is used for nothing else."""
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        text = json.dumps(
            {
                "key": introduction.secret.hex(),
                "seeds": introduction.seeds,
                "multicast": introduction.multicast,
                "agreed": dict(introduction.agreed),
            }
        )
        return ChaCha20Poly1305(_derived(self._key, b"introduction")).encrypt(bytes(12), text.encode(), None)

    def open(self, sealed: bytes) -> Introduction:
        """Return the introduction. :raises MalformedReply: it is none."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        try:
            text = ChaCha20Poly1305(_derived(self._key, b"introduction")).decrypt(bytes(12), sealed, None)
            told = json.loads(text)
            secret, seeds = bytes.fromhex(told["key"]), tuple(told["seeds"])
        except (InvalidTag, ValueError, KeyError, TypeError) as error:
            raise MalformedReply("what the other node gave cannot be opened") from error
        if len(secret) != 32 or not all(isinstance(seed, str) and len(seed) < 300 for seed in seeds):
            raise MalformedReply("what the other node gave is no key")
        agreed = told.get("agreed")
        return Introduction(
            secret, seeds, told.get("multicast") is True, checked(agreed), tuple(unknown(agreed))
        )


def _derived(key: bytes, label: bytes) -> bytes:
    return hmac.new(key, b"gomd join 1 " + label, hashlib.sha256).digest()


def line_of(message: Mapping[str, Any]) -> bytes:
    """Return the line of a message."""
    return json.dumps(message).encode() + b"\n"


def message_of(line: bytes) -> dict[str, Any]:
    """
    Return the message in a line.

    :raises MalformedReply: it is none. :raises RequestError: it is the error of the other end.
    """
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise MalformedReply("the other end does not speak gomd's way of joining")
    if "error" in told:
        raise error_for(403, printable(str(told["error"])[:300]))
    return told


def text_in(message: Mapping[str, Any], name: str) -> str:
    """Return a text of a message. :raises MalformedReply: there is none."""
    found = message.get(name)
    if not isinstance(found, str) or len(found) > 300 or not found.isprintable():
        raise MalformedReply(f"the other end did not say its {name}")
    return found


def bytes_in(message: Mapping[str, Any], name: str) -> bytes:
    """Return bytes of a message. :raises MalformedReply: there are none."""
    found = message.get(name)
    try:
        return bytes.fromhex(found) if isinstance(found, str) else b""
    except ValueError:
        raise MalformedReply(f"the other end did not say its {name}") from None
