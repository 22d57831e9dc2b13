"""Answers questions of peers that come by datagram: values of the tree, and summaries of nodes. Read only."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import lru_cache

from gomd.interfaces import IMembership, ITree
from gomd.tree.cluster_tree import node_value
from libgomd.errors import GomdError, NodeError, RequestError
from libgomd.model import Caller, Role
from libgomd.wire.messages import Answer, Question, Summary
from libgomd.wire.tree import Kind, TreePath

#: The code of an answer with a value.
OK = 200
#: Peers ask for the same few paths all the time.
_parsed = lru_cache(maxsize=1024)(TreePath.parse)


class PeerQuestions:
    """Answers as to a caller that may only read and owns no process. Every asker has the cluster's key."""

    def __init__(self, tree: ITree, members: IMembership) -> None:
        self._tree = tree
        self._members = members
        self._caller = Caller(Role.READ, "", None, "datagram")

    def __call__(self, question: Question) -> Answer | Summary | Awaitable[Answer | Summary]:
        """Return the answer to ``question``, or an awaitable if /proc has to be read first."""
        try:
            if not question.path:
                return self._summary(question)
            path = _parsed(question.path)
            if path.kind is Kind.DIRECTORY:
                return _refused(question, 405, f"{path} is a directory: ask over a stream")
            if path.kind is Kind.NODE_VALUE:  # known without reading /proc
                return Answer.to(question, OK, node_value(self._members.find(str(path.number)), path.name))
        except RequestError as error:
            return _refused(question, error.code, error.text)
        return self._value(question, path)

    def _summary(self, question: Question) -> Summary:
        node = self._members.find(str(question.node or self._members.own_id))
        return Summary.of(question.request_id, node)

    async def _value(self, question: Question, path: TreePath) -> Answer:
        try:
            data = await self._tree.read_file(path, self._caller)
        except (RequestError, NodeError) as error:
            return _refused(question, error.code, error.text)
        except GomdError as error:
            return _refused(question, 500, str(error))
        return Answer.to(question, OK, data)


def _refused(question: Question, code: int, text: str) -> Answer:
    return Answer.to(question, code, text.encode("utf-8", "backslashreplace"))
