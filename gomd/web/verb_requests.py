"""
From a URL and a body to the request of a verb, by the table of verbs: no I/O.

`GET /api/v1/ps/4711?node=all&top=20` is ``@all ps 4711 --top=20``. The path has the arguments, the query the
options that the usage of the verb names (``[--top=N]``), and ``node`` is whom to ask. The body of a POST has
the arguments by their names in the usage, in lower case: ``kill JOB [SIG]`` takes
``{"job": 7, "sig": "TERM"}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from gomd.verbs.table import Verb
from libgomd.errors import MalformedRequest
from libgomd.wire.lines import MAX_LINE, Request, encode_request

#: Options of every verb: whom to ask.
NODE: Final = "node"
#: Options of every watch: seconds from round to round, the number of rounds; and which rows of all nodes.
WATCH_OPTIONS: Final = {"n": "-n", "c": "-c", "most": "--most", "with": "--with"}
_OPTION: Final = re.compile(r"\[--([a-z-]+)(?:[= ]([^\]]*))?\]")
_REPEATED: Final = re.compile(r"\[([A-Z]+) \.\.\.\]")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z_-]*")


class VerbOptions(NamedTuple):
    """
    The options and arguments of a verb, from its usage.

    :ivar valued: names of options with a value. :ivar flags: of options without.
    :ivar words: the arguments in order: the JSON name, whether it is needed, and the literal word that stands
        for itself (``dry-run``), empty when there is a value. :ivar more: whether the last may be repeated.
    """

    valued: tuple[str, ...]
    flags: tuple[str, ...]
    words: tuple[tuple[str, bool, str], ...]
    more: bool


def options_of(verb: Verb) -> VerbOptions:
    """Return the arguments and options that the usage of ``verb`` names."""
    valued: list[str] = []
    flags: list[str] = []
    for name, value in _OPTION.findall(verb.arguments):
        (valued if value else flags).append(name)
    words = []
    more = False
    for word in _REPEATED.sub(r"[\1] ...", _OPTION.sub("", verb.arguments)).split():
        if word.strip("[]") == "...":
            more = True
            continue
        plain = word.strip("[]")
        name = _NAME.match(plain)
        first = plain if name is None else name[0]
        literal = plain if word.startswith("[") and plain == plain.lower() and "|" not in plain else ""
        words.append((first.lower().replace("-", "_"), not word.startswith("["), literal))
    return VerbOptions(tuple(valued), tuple(flags), tuple(words), more)


def words_of_path(path: bytes) -> list[str]:
    """
    Return the segments of ``path``, each percent-decoded once.

    :raises MalformedRequest: one is no UTF-8, or has control characters.
    """
    return [_decoded(segment, "the path") for segment in path.split(b"/")]


def _decoded(text: bytes, what: str) -> str:
    try:
        found = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedRequest(f"{what} is not UTF-8: percent-encode UTF-8 text") from None
    if any(ord(char) < 32 or ord(char) == 127 for char in found):
        raise MalformedRequest(f"{what} has a control character: send plain text")
    return found


def query_of(query: bytes) -> dict[str, str]:
    """Return the options in ``query``. :raises MalformedRequest: one is given twice, or no text."""
    found: dict[str, str] = {}
    for part in query.split(b"&"):
        if not part:
            continue
        name, _, value = part.replace(b"+", b" ").partition(b"=")
        key = _decoded(name, "the query")
        if key in found:
            raise MalformedRequest(f"{key[:40]} is given twice: give it once")
        found[key] = _decoded(value, f"the option {key[:40]}")
    return found


def body_of(content: bytes) -> dict[str, Any]:
    """
    Return the JSON object in a body, {} for an empty one.

    :raises MalformedRequest: it is none, or gives a name twice: which of the two is meant nobody knows.
    """
    if not content.strip():
        return {}
    try:
        found = json.loads(content, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise MalformedRequest("the body is not JSON: send an object with the arguments by name") from None
    if not isinstance(found, dict):
        raise MalformedRequest("the body is no JSON object: send the arguments by name")
    return found


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise MalformedRequest(f"{name[:40]} is given twice: give it once")
        found[name] = value
    return found


def request_of(verb: Verb, rest: bytes, query: Mapping[str, str], body: Mapping[str, Any]) -> Request:
    """
    Return the request for ``verb``.

    :param rest: the path behind the verb, without the slash, still encoded. :param query: its options.
    :param body: the arguments by name. :raises MalformedRequest: something is unknown, missing or too long.
    """
    known = options_of(verb)
    arguments = _of_path(verb, known, rest)
    node = query.get(NODE, "")
    if NODE in body and not any(name == NODE for name, _, _ in known.words):
        node = _text(body[NODE], NODE)
    arguments += _of_body(verb, known, body, len(arguments))
    for name, value in query.items():
        if name == NODE:
            continue
        if name in known.valued:
            arguments.append(f"--{name}={value}")
        elif name in known.flags:
            if value.lower() not in ("0", "no", "false"):
                arguments.append(f"--{name}")
        else:
            raise MalformedRequest(f"`{verb.name}` has no option {name[:40]}: {_known_options(known)}")
    return checked(Request(verb.name, tuple(arguments), node))


def watch_request(verb: Verb, rest: bytes, query: Mapping[str, str]) -> Request:
    """Return the request that watches ``verb``; errors as in `request_of`."""
    inner = request_of(verb, rest, {name: query[name] for name in query if name not in WATCH_OPTIONS}, {})
    options = [word for name, flag in WATCH_OPTIONS.items() if name in query for word in (flag, query[name])]
    where = [f"@{inner.node}"] if inner.node else []
    return checked(Request("watch", (*options, *where, inner.verb, *inner.arguments)))


def checked(request: Request) -> Request:
    """Return ``request``. :raises MalformedRequest: as a line it would be too long, or none."""
    if len(encode_request(request)) > MAX_LINE:
        raise MalformedRequest(f"the request is longer than {MAX_LINE} bytes: shorten it")
    if request.node.startswith("@") or any(char.isspace() for char in request.node):
        raise MalformedRequest("node is the id or name of one node, or all")
    return request


def _of_path(verb: Verb, known: VerbOptions, rest: bytes) -> list[str]:
    if len(known.words) == 1 and known.words[0][0] == "path":
        path = _decoded(rest, "the path")
        return [f"/{path.lstrip('/')}"] if path else []
    found = words_of_path(rest) if rest else []
    if "" in found:
        raise MalformedRequest(f"there is an empty argument in the path: usage: {verb.usage}")
    return found


def _of_body(verb: Verb, known: VerbOptions, body: Mapping[str, Any], done: int) -> list[str]:
    """Return the arguments in ``body``; the first ``done`` are in the path already."""
    names = [name for name, _, _ in known.words]
    wrong: Iterable[str] = (name for name in body if name not in names and name != NODE)
    for name in wrong:
        takes = ", ".join(names) or "nothing"
        raise MalformedRequest(f"`{verb.name}` has no argument {name[:40]}: the body takes {takes}")
    found: list[str] = []
    gap = ""
    for at, (name, needed, literal) in enumerate(known.words):
        value = body.get(name)
        if at < done:
            if value is not None:
                raise MalformedRequest(f"{name} is in the path and in the body: give it once")
            continue
        if value is None or (value is False and literal):
            if needed and done == 0:
                raise MalformedRequest(f"{name} is missing: usage: {verb.usage}")
            gap = gap or name
            continue
        if gap:
            raise MalformedRequest(f"{gap} is missing before {name}: usage: {verb.usage}")
        if literal:
            if value is not True:
                raise MalformedRequest(f"{name} is true or false")
            found.append(literal)
        else:
            found.append(_text(value, name))
    return found


def _text(value: Any, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise MalformedRequest(f"{name} is text or a whole number")
    text = str(value)
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise MalformedRequest(f"{name} has a control character: send plain text")
    return text


def _known_options(known: VerbOptions) -> str:
    names: Sequence[str] = (NODE, *known.valued, *known.flags)
    return f"it has {', '.join(names)}"
