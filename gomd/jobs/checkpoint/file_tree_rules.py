"""The rules for the order of a tree's records, and for its size. No I/O."""

from __future__ import annotations

from gomd.jobs.checkpoint.file_tree_codec import (
    Chunk,
    Directory,
    DirectoryEnd,
    End,
    Fifo,
    FileEnd,
    HardLink,
    Link,
    MalformedTree,
    Record,
    RegularFile,
    TreeLimits,
    TreeTooLarge,
)


class TreeRules:
    """
    Checks that records form one tree, within ``limits``. Both ends use it, so both refuse in the same
    words.

    :ivar path: names of the directories that are entered now.
    """

    def __init__(self, limits: TreeLimits) -> None:
        self._limits = limits
        self.path: list[bytes] = []
        self.entries = 0
        self.size = 0
        self._linkable: set[int] = set()
        self._end_of_chunk: int | None = None  # None: no file is open
        self._ended = False

    def check(self, record: Record) -> None:
        """
        Take the next record into account.

        :raises MalformedTree: it cannot come here. :raises TreeTooLarge: a limit is exceeded.
        """
        in_file = self._end_of_chunk is not None
        if self._ended or in_file != isinstance(record, (Chunk, FileEnd)):
            raise MalformedTree(f"a tree of files has a {type(record).__name__} in a wrong place")
        if isinstance(record, Chunk):
            self._take_chunk(record)
        elif isinstance(record, FileEnd):
            if record.size < (self._end_of_chunk or 0):
                raise MalformedTree("a tree of files has a file with bytes behind its end")
            self._end_of_chunk = None
        elif isinstance(record, DirectoryEnd):
            if not self.path:
                raise MalformedTree("a tree of files leads out of its top")
            self.path.pop()
        elif isinstance(record, End):
            if self.path or record.entries != self.entries:
                raise MalformedTree("a tree of files is not complete")
            self._ended = True
        else:
            self._take_entry(record)

    def _take_chunk(self, record: Chunk) -> None:
        if record.offset < (self._end_of_chunk or 0):
            raise MalformedTree("a tree of files has a file whose chunks overlap")
        self._end_of_chunk = record.offset + len(record.data)
        self.add(len(record.data))

    def add(self, size: int) -> None:
        """Count bytes of contents. :raises TreeTooLarge: they are too many."""
        self.size += size
        if self.size > self._limits.size:
            raise TreeTooLarge(f"the files have more than {self._limits.size} bytes", "size")

    def _take_entry(self, record: Directory | RegularFile | Link | Fifo | HardLink) -> None:
        limits = self._limits
        if isinstance(record, HardLink) and record.entry not in self._linkable:
            raise MalformedTree("a tree of files has a hard link to what is no earlier file")
        if isinstance(record, (RegularFile, Fifo)) and record.linked:
            self._linkable.add(self.entries)
        self.entries += 1
        if self.entries > limits.entries:
            raise TreeTooLarge(f"there are more than {limits.entries} files", "entries")
        if sum(map(len, self.path)) + len(self.path) + len(record.name) > limits.path:
            raise TreeTooLarge(f"a file's path has more than {limits.path} bytes", "path")
        if isinstance(record, Directory):
            self.path.append(record.name)
            if len(self.path) > limits.depth:
                raise TreeTooLarge(f"more than {limits.depth} directories lie within each other", "depth")
        elif isinstance(record, RegularFile):
            self._end_of_chunk = 0
