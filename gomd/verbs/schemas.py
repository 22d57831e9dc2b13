"""
Writes docs/schema/VERB.json, the JSON Schema of every verb's answer: `python -m gomd.verbs.schemas`.

A schema describes one row of a verb that answers with a block, and the value of the 200 of any other one. The
names come from the table of verbs, types and null from the model, and units from the table here.
"""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gomd.verbs.all import all_verbs
from gomd.verbs.table import Verb
from libgomd.model import (
    Caller,
    Counter,
    Event,
    Finding,
    HistoryRow,
    Holdings,
    Job,
    Measure,
    Name,
    Node,
    NodeRange,
    Output,
    Process,
    Role,
    Status,
    Switch,
    VerbHelp,
)

DIRECTORY: Final = Path(__file__).parents[2] / "docs" / "schema"
#: Verbs without an answer of their own in JSON: the connection ends, carries frames, or repeats another verb.
WITHOUT: Final = ("quit", "run", "attach", "migration", "watch", "moved", "collect", "relay")
_ROWS: Final = (
    Process,
    Node,
    NodeRange,
    Job,
    Event,
    HistoryRow,
    Measure,
    Counter,
    Name,
    VerbHelp,
    Finding,
    Switch,
)
_TYPES: Final[Mapping[Any, str]] = {
    int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null",
}  # fmt: skip
_BYTES, _SECONDS, _MOMENT = "bytes", "seconds", "seconds since the epoch"
_UNITS: Final[Mapping[str, str]] = {
    "Process.cpu_percent": "percent of one processor", "Process.cpu_seconds": _SECONDS, "Process.rss": _BYTES,
    "Process.vsize": _BYTES, "Process.start_time": _MOMENT, "Process.read_rate": "bytes a second",
    "Process.write_rate": "bytes a second", "Process.started": "clock ticks after the boot of its home",
    "Process.age": _SECONDS, "Process.node": "node id", "Process.home": "node id",
    "Process.where": "node id, 0 at home", "Node.id": "node id", "Node.status": "bits of openMosix",
    "Node.load": "hundredths of a standard processor", "Node.speed": "15000 for a standard processor",
    "Node.util": "percent of one processor", "Node.mem": _BYTES, "Node.rmem": _BYTES, "Node.tmem": _BYTES,
    "Node.age": _SECONDS, "NodeRange.first": "node id", "Job.home": "node id", "Job.node": "node id",
    "Job.started": _MOMENT, "Job.ended": _MOMENT, "Job.memory_max": _BYTES, "Event.time": _MOMENT,
    "Event.seconds": _SECONDS, "Event.stopped_seconds": _SECONDS, "Event.bytes": _BYTES,
    "Event.precopied": _BYTES,
    "Event.node": "node id", "Event.by": "node id", "HistoryRow.time": _MOMENT,
    "HistoryRow.node": "node id", "HistoryRow.by": "id of the node that remembered it",
    "Holdings.swap": _BYTES, "Holdings.gpu_memory": _BYTES, "Switch.since": _MOMENT,
    "Finding.value": "seconds since the epoch for clock; bytes for disks, memory and mtu",
}  # fmt: skip
_NUMBER: Final[Mapping[str, Any]] = {"type": ["integer", "null"]}
_SWITCHED: Final = {"status": ("integer", "bits of openMosix"), "words": ("string", "")}


def _object(properties: Mapping[str, tuple[str | list[str], str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (kind, unit) in properties.items():
        found[name] = {"type": kind, **({"x-unit": unit} if unit else {})}
    return {"type": "object", "properties": found, "required": [*properties]}


#: The values of verbs that answer with a 200.
_VALUES: Final[Mapping[str, dict[str, Any]]] = {
    "version": _object({"version": ("string", ""), "protocol": ("integer", "")}),
    "page": _object({"url": ("string", ""), "code": ("string", "good once, for a minute")}),
    "invitation": _object({
        "key_file": ("string", "path"), "address": ("string", ""), "port": ("integer", "udp and tcp"),
        "multicast": ("boolean", ""), "seeds": ("array", "HOST:PORT"), "engine": ("string", ""),
        "agreed": ("object", "settings that all nodes have alike"), "name": ("string", ""),
    }),
    "load": {**_NUMBER, "x-unit": _UNITS["Node.load"]},
    "speed": {**_NUMBER, "x-unit": _UNITS["Node.speed"]},
    "cpus": {**_NUMBER, "x-unit": "processors online"},
    "util": {**_NUMBER, "x-unit": _UNITS["Node.util"]},
    "mem": {
        **_object({name: (["integer", "null"], _BYTES) for name in ("mem", "rmem", "tmem")}),
        "type": ["object", "null"],
    },
    "status": _object(_SWITCHED),
    "get": _object({"path": ("string", ""), "text": ("string", r"unprintable bytes as \xNN")}),
    "put": _object({"path": ("string", ""), "value": ("string", "")}),
    "where": {"type": "integer", "x-unit": "node id, never 0"},
    "format": {"type": "string", "enum": ["text", "json"]},
    "signal": _object({"pid": ("integer", ""), "signal": ("integer", "")}),
    "renice": _object({"pid": ("integer", ""), "nice": ("integer", "-20 to 19")}),
    "kill": _object({"job": ("integer", ""), "signal": ("integer", "")}),
    "carry": _object({"job": ("integer", "")}),
    "migrate": _object({
        "pid": ("integer", ""), "node": ("integer", "node id"), "seconds": ("number", _SECONDS),
        "moved": ("boolean", ""),
    }),
    **dict.fromkeys(("lock", "unlock"), _object({"pid": ("integer", ""), "lock": ("boolean", "")})),
    **dict.fromkeys(
        ("stay", "nostay", "lstay", "nolstay", "block", "noblock", "quiet", "noquiet"), _object(_SWITCHED)
    ),
    **dict.fromkeys(("bring", "expel"), _object({**_SWITCHED, "moved": ("integer", "jobs")})),
    "setspeed": {"type": "integer"},
    "setyard": {"type": "integer"},
    "checkpoint": {"type": "null"},
    "shutdown": {"type": "null"},
}  # fmt: skip


def schema_of(verb: Verb) -> dict[str, Any]:
    """Return the schema of the answer of ``verb``, which is none of `WITHOUT`."""
    kind: Any = next((each for each in _ROWS if verb.fields == each.JSON), None) if verb.fields else None
    if verb.name in ("whoami", "auth"):
        kind = Caller
    elif verb.name == "do":
        kind = Output
    if verb.name == "busiest":
        kind = Process
    is_block = bool(verb.fields) or verb.name == "do"
    body = _VALUES[verb.name] if kind is None else _of_class(kind, partly=verb.name == "ps")
    if verb.name == "ps":
        body["properties"] |= _of_class(Holdings, partly=True)["properties"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": verb.usage,
        "description": f"{'One row of' if is_block else 'The value of'} `{verb.name}`: {verb.summary}.",
        **body,
    }


def watch_schema() -> dict[str, Any]:
    """Return the schema of what `watch` adds to each row."""
    row = _object({"round": ("integer", "from 1"), "rows": ("integer", "lines of the whole round")})
    merged = _object({
        "matched": ("integer", "rows that `ps` selects, without --top"),
        "total": ("integer", "rows of all nodes, of which these are the first"),
        "from": ("integer", "node id"), "rows_age": ("number", "seconds, 0 when fresh"),
        "left": ("boolean", ""), "code": ("integer", ""), "error": ("string", ""),
    })  # fmt: skip
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "watch [-n SECONDS] [-c COUNT] [--most N [--with IDENTITY,...]] [@NODE|@all] VERB ...",
        "description": "What each row of a watch has beside the row of its verb, or beside `value`; "
        "`matched` where options of `ps` select; `total` with --most; `from`, `rows_age`, `left`, `code` and "
        "`error` when other nodes are watched.",
        "type": "object",
        "properties": {**row["properties"], **merged["properties"]},
        "required": row["required"],
    }


def _of_class(kind: Any, partly: bool) -> dict[str, Any]:
    hints: dict[str, Any] = typing.get_type_hints(kind)
    properties = {name: _of_field(kind, name, hints) for name in kind.JSON}
    required = [name for name in kind.JSON if name not in getattr(kind, "LATER", ())]
    return {"type": "object", "properties": properties, **({} if partly else {"required": required})}


def _of_field(kind: Any, name: str, hints: Mapping[str, Any]) -> dict[str, Any]:
    hint = hints.get(name)
    if hint is None:  # a property: Node.up
        hint = typing.get_type_hints(getattr(kind, name).fget)["return"]
    unit = _UNITS.get(f"{kind.__name__}.{name}")
    return {**_of_type(hint), **({"x-unit": unit} if unit else {})}


def _of_type(hint: Any) -> dict[str, Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return {"type": [_TYPES[each] for each in typing.get_args(hint)]}
    if typing.get_origin(hint) in (tuple, Sequence):
        return {"type": "array", "items": {"type": _TYPES[typing.get_args(hint)[0]]}}
    if typing.get_origin(hint) is Mapping:
        return {"type": "object", "additionalProperties": {"type": _TYPES[typing.get_args(hint)[1]]}}
    if hint is Status:
        return {"type": "integer"}
    if hint is Role:
        return {"type": "string", "enum": [role.word for role in Role]}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"type": "string", "enum": [each.value for each in hint]}
    return {"type": _TYPES[hint]}


def files() -> dict[str, str]:
    """Return the text of every file by its name."""
    schemas = {verb.name: schema_of(verb) for verb in all_verbs() if verb.name not in WITHOUT}
    schemas["watch"] = watch_schema()
    return {f"{name}.json": json.dumps(schema, indent=1) + "\n" for name, schema in schemas.items()}


if __name__ == "__main__":
    for _name, _text in files().items():
        (DIRECTORY / _name).write_text(_text, encoding="utf-8")
