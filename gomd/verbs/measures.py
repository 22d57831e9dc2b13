"""The verb `measures`: file systems, processor time by mode, sockets, temperatures and more of this node."""

from __future__ import annotations

from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Reply, Rows, TextColumn
from gomd.verbs.table import Verb
from libgomd.errors import NotFound
from libgomd.model import Measure, Role
from libgomd.similar_names import most_similar


def _labels(measure: Measure) -> str:
    return " ".join(f"{name}={value}" for name, value in measure.labels.items()) or "-"


_COLUMNS = (
    TextColumn("NAME", 28, lambda measure: str(measure.name), left=True),
    TextColumn("LABELS", 30, _labels, left=True),
    TextColumn("VALUE", 18, lambda measure: f"{measure.value:.3f}".rstrip("0").rstrip(".")),
    TextColumn("MEANING", 1, lambda measure: str(measure.text), left=True),
)


def measures(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """
    List the measures, or those whose names begin with a word.

    :raises NotFound: there is none; a misspelt name must not look like a value that is not there now.
    """
    measured = parts.measures()
    if not arguments or not arguments[0]:
        return Rows(f"{len(measured)} measures", measured, _COLUMNS)
    found = [each for each in measured if each.name.startswith(arguments[0])]
    if not found:
        word = arguments[0][:40]
        near = most_similar(word, sorted({each.name for each in measured}))
        hint = f"did you mean {near}?" if near else "`measures` lists what there is"
        raise NotFound(f"this node has no measure whose name begins with {word}: {hint}")
    return Rows(f"{len(found)} measures", found, _COLUMNS)


VERBS = (
    Verb(
        "measures", "[NAME]", Role.READ, "list file systems, CPU time by mode, sockets, temperatures ...",
        measures, fields=Measure.JSON, slow=True,
    ),
)  # fmt: skip
