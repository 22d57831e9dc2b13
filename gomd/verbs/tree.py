"""The verbs of the tree: ls, get and put, with the paths of openMosix."""

from __future__ import annotations

from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import File, Reply, Rows, TextColumn, ValueReply
from gomd.verbs.switches import note_written
from gomd.verbs.table import Verb
from libgomd.errors import NotPossible
from libgomd.model import Name, Role
from libgomd.wire.text import lines_of
from libgomd.wire.tree import Kind, TreePath

_NAME = (TextColumn("NAME", 1, lambda name: str(name.name), left=True),)


async def ls(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """List the names in a directory of the tree; for a file, its own name."""
    path = TreePath.parse(arguments[0])
    if path.kind is Kind.DIRECTORY:
        names = await parts.tree.list_directory(path, session.caller)
    else:
        await parts.tree.list_directory(TreePath.parse(str(path).rpartition("/")[0]), session.caller)
        names = [path.name]
    return Rows(f"{len(names)} names in {path}", [Name(name) for name in names], _NAME)


async def get(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Answer with the lines of a file of the tree."""
    path = TreePath.parse(arguments[0])
    if path.kind is Kind.DIRECTORY:
        raise NotPossible(f"{path} is a directory: `ls {path}` lists it")
    return File(str(path), lines_of(await parts.tree.read_file(path, session.caller)))


async def put(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Write a value of the tree."""
    path = TreePath.parse(arguments[0])
    if path.kind is Kind.DIRECTORY:
        raise NotPossible(f"{path} is a directory: put a value into a file in it")
    await parts.tree.write_file(path, arguments[1])
    await note_written(parts, session, path, arguments[1])
    await parts.collector.refresh()
    return ValueReply(f"{path} is {arguments[1]}", {"path": str(path), "value": arguments[1]})


VERBS = (
    Verb(
        "ls",
        "PATH",
        Role.READ,
        "list the names in a directory of the tree, which begins at /proc",
        ls,
        fields=Name.JSON,
    ),
    Verb("get", "PATH", Role.READ, "show the lines of a file of the tree", get),
    Verb("put", "PATH VALUE", Role.ADMIN, "write a value of the tree", put, patient=True),
)
