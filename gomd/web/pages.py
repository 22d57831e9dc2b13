"""The files of the page: read once, sent compressed to browsers that take it, the same for every caller."""

from __future__ import annotations

import gzip
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from gomd.web.channel import WebRequest
from gomd.web.headers import PAGE_HEADERS

STATIC: Final = Path(__file__).with_name("static")
#: The types of files that are served; anything else in the directory is not.
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


class PageFile(NamedTuple):
    """One file. :ivar tag: changes with its text."""

    text: bytes
    packed: bytes
    media_type: str
    tag: str


def read_files(directory: Path = STATIC) -> dict[bytes, PageFile]:
    """Return the files of the page by their path. Blocks briefly; done at the first request."""
    found = {}
    for path in sorted(directory.glob("*")):
        kind = TYPES.get(path.suffix)
        if kind is not None:
            text = path.read_bytes()
            tag = f'"{sha256(text).hexdigest()[:32]}"'
            found[f"/{path.name}".encode()] = PageFile(text, gzip.compress(text, 9, mtime=0), kind, tag)
    if b"/index.html" in found:
        found[b"/"] = found[b"/index.html"]
    return found


class Pages:
    """Answers with the files of the page. No path of a request becomes the path of a file."""

    def __init__(self, directory: Path = STATIC) -> None:
        self._directory = directory
        self._files: dict[bytes, PageFile] | None = None

    def answer(self, request: WebRequest) -> None:
        """Answer GET and HEAD for a file of the page."""
        if self._files is None:
            self._files = read_files(self._directory)
        file = self._files.get(request.path)
        if file is None:
            request.reply(404, b"no such page: the page is at /, the metrics at /metrics\n")
        elif request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            request.reply(405, b"only GET and HEAD are possible here\n")
        else:
            self._send(request, file)

    def _send(self, request: WebRequest, file: PageFile) -> None:
        headers = {**PAGE_HEADERS, "Cache-Control": "no-cache", "ETag": file.tag, "Vary": "Accept-Encoding"}
        if request.getHeader("if-none-match") == file.tag:
            request.reply(304, b"", file.media_type, headers)
        elif "gzip" in (request.getHeader("accept-encoding") or ""):
            request.reply(200, file.packed, file.media_type, {**headers, "Content-Encoding": "gzip"})
        else:
            request.reply(200, file.text, file.media_type, headers)
