"""
Describes the API as OpenAPI 3.1, from the table of verbs and the schemas of their answers. No I/O.

A test compares it with the server: every URL of it answers, and nothing else does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from gomd.verbs.schemas import WITHOUT, schema_of
from gomd.verbs.table import Verb
from gomd.verbs.watch_options import can_be_watched
from gomd.web.job_streams import FIELDS
from gomd.web.verb_requests import options_of
from libgomd.model import Role
from libgomd.version import VERSION

#: What an error means, by its HTTP status.
ERRORS: Final[Mapping[int, str]] = {
    400: "the request is wrong: the error says how",
    401: "sign in, or send a token",
    403: "this caller may not do that",
    404: "there is no such thing",
    405: "the URL takes other methods",
    409: "it conflicts with what is there",
    413: "the body is too long",
    421: "this daemon is not known by the name in Host",
    422: "not possible here; the code in the body is 405, as on the telnet line",
    429: "too many at once, or too many unknown tokens",
    500: "gomd failed",
    502: "another node cannot be reached",
    504: "it took too long",
}
_STRING: Final = {"type": "string"}
_TYPES: Final[Mapping[object, dict[str, Any]]] = {
    list: {"type": "array", "items": _STRING},
    str: _STRING,
    dict: {"type": "object", "additionalProperties": _STRING},
    int: {"type": "integer", "minimum": 0},
    bool: {"type": "boolean"},
}


def description(verbs: Iterable[Verb]) -> bytes:
    """Return the description of the API with these verbs, as JSON. Takes tens of milliseconds."""
    paths: dict[str, Any] = {}
    for verb in verbs:
        if verb.method:
            paths.update(_paths_of(verb))
    paths.update(_FIXED)
    value = {
        "openapi": "3.1.0",
        "info": {
            "title": "gomd",
            "version": VERSION,
            "description": "See and steer a cluster. docs/http-api.md says who may do what.",
            "license": {"name": "GPL-2.0-or-later", "identifier": "GPL-2.0-or-later"},
        },
        "security": [{}, {"token": []}, {"session": [], "key": []}],
        "paths": paths,
        "components": {
            "schemas": {
                "Error": {
                    "type": "object",
                    "properties": {"code": {"type": "integer"}, "error": _STRING},
                    "required": ["code", "error"],
                }
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "gomd-PORT"},
                "key": {"type": "apiKey", "in": "header", "name": "X-Gomd-Session"},
            },
        },
    }
    return json.dumps(value).encode()


def _paths_of(verb: Verb) -> dict[str, Any]:
    """Return the paths of a verb: with and without its optional arguments, and its event stream."""
    known = options_of(verb)
    paths = {}
    names = [name for name, needed, _ in known.words if needed]
    spans = [names]
    if verb.method == "GET":
        every = [name for name, _, literal in known.words if not literal]
        spans += [every[:count] for count in range(len(names) + 1, len(every) + 1)]
    else:
        spans = [[]]
    for span in spans:
        at = "".join(f"/{{{name}}}" for name in span)
        paths[f"/api/v1/{verb.name}{at}"] = {verb.method.lower(): _operation(verb, span, "")}
        if can_be_watched(verb):
            paths[f"/api/v1/watch/{verb.name}{at}"] = {"get": _operation(verb, span, "watch-")}
    return paths


def _operation(verb: Verb, span: list[str], kind: str) -> dict[str, Any]:
    known = options_of(verb)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _STRING, **_slashes(name)} for name in span
    ]
    options = {"node": "the node that is asked, by id or name; all: every node that is up"}
    options.update(dict.fromkeys((*known.valued, *known.flags), "see the usage of the verb"))
    if kind:
        options["n"] = "seconds from round to round"
        options["c"] = "number of rounds; without it the stream goes on"
        if verb.name == "ps":
            options["most"] = "with several nodes: so many rows of all of them, the first by --sort"
            options["with"] = "with most: processes that are shown besides, as IDENTITY@NODE,..."
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": _STRING, "description": text}
        for name, text in options.items()
    ]
    found: dict[str, Any] = {
        "operationId": "-".join((f"{kind}{verb.name}", *span)),
        "summary": verb.summary,
        "description": f"`{verb.usage}`; for role {verb.role.word} and above.",
        "parameters": parameters,
        "responses": _responses("text/event-stream" if kind else "application/json", _answer(verb)),
    }
    if verb.method == "POST":
        found["requestBody"] = {"content": {"application/json": {"schema": _body(verb)}}}
    if verb.role > Role.READ:
        found["security"] = [{"token": []}, {"session": [], "key": []}]
    return found


def _slashes(name: str) -> dict[str, Any]:
    return {"description": "the rest of the URL, slashes included"} if name == "path" else {}


def _body(verb: Verb) -> dict[str, Any]:
    known = options_of(verb)
    properties: dict[str, Any] = {
        name: {"type": "boolean"} if literal else {"type": ["string", "integer"]}
        for name, _, literal in known.words
    }
    properties.setdefault("node", {"type": ["string", "integer"], "description": "the node that is asked"})
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name, needed, _ in known.words if needed],
        "additionalProperties": False,
    }


def _answer(verb: Verb) -> dict[str, Any]:
    """Return the schema of the answer; several nodes give rows with ``from`` in place of a value."""
    schema: dict[str, Any] = {}
    if verb.name not in WITHOUT:
        schema = {name: each for name, each in schema_of(verb).items() if name != "$schema"}
    rows: dict[str, Any] = {
        "type": "object",
        "properties": {
            "rows": {"type": "array", "items": schema if verb.fields else {"type": "object"}},
            "code": {"type": "integer"},
            "error": _STRING,
        },
        "required": ["rows"],
    }
    if verb.fields:
        return {**rows, "properties": {**rows["properties"], "rows": {"type": "array", "items": {
            "anyOf": [schema, *({"type": "object", "required": [name]} for name in ("from", "code"))]
        }}}}  # fmt: skip
    return {"anyOf": [{"type": "object", "properties": {"value": schema}, "required": ["value"]}, rows]}


def _responses(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "200": {"description": "done", "content": {media_type: {"schema": schema}}},
        **{str(code): {"description": text, "content": error} for code, text in ERRORS.items()},
    }


def _value(schema: dict[str, Any]) -> dict[str, Any]:
    return _responses(
        "application/json", {"type": "object", "properties": {"value": schema}, "required": ["value"]}
    )


_CALLER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "role": _STRING, "user": _STRING, "uid": {"type": ["integer", "null"]}, "via": _STRING,
    },
    "required": ["role", "user", "uid", "via"],
}  # fmt: skip
_FIXED: Final[dict[str, Any]] = {
    "/api/v1/session": {
        "get": {
            "operationId": "session",
            "summary": "who the caller is, and whether one can sign in here",
            "responses": _value(_CALLER),
        },
        "post": {
            "operationId": "sign-in",
            "summary": "begin a session: sets a cookie, and answers with its key",
            "requestBody": {"content": {"application/json": {"schema": {"oneOf": [
                {"type": "object", "properties": {"token": _STRING}, "required": ["token"],
                 "additionalProperties": False},
                {"type": "object", "properties": {"code": _STRING}, "required": ["code"],
                 "additionalProperties": False},
            ]}}}},
            "responses": _value({**_CALLER, "properties": {**_CALLER["properties"], "key": _STRING}}),
        },
        "delete": {
            "operationId": "sign-out",
            "summary": "end the session",
            "responses": _value({"type": "null"}),
        },
    },
    "/api/v1/run": {
        "post": {
            "operationId": "run",
            "summary": "start a detached job as the caller's user",
            "requestBody": {"content": {"application/json": {"schema": {
                "type": "object",
                "properties": {
                    name: _TYPES[kind] if isinstance(kind, type) else {"type": ["string", "integer"]}
                    for name, kind in FIELDS.items()
                },
                "required": ["argv"],
                "additionalProperties": False,
            }}}},
            "responses": _value({"type": "object", "properties": {"job": {"type": "integer"}}}),
        }
    },
    "/api/v1/watch/attach/{job}": {
        "get": {
            "operationId": "watch-attach",
            "summary": "the output of a job as it is written: events started, stdout, stderr, lost and exit",
            "parameters": [
                {"name": "job", "in": "path", "required": True, "schema": _STRING},
                *({"name": name, "in": "query", "schema": _STRING, "description": "bytes already there"}
                  for name in ("stdout", "stderr")),
            ],
            "responses": _responses("text/event-stream", {"type": "object"}),
        }
    },
    "/api/v1/openapi.json": {
        "get": {
            "operationId": "openapi",
            "summary": "this description",
            "responses": _responses("application/json", {"type": "object"}),
        }
    },
}  # fmt: skip
