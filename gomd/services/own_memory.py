"""Keeps the memory of this process small: one heap for all threads, and nothing that only a start needs."""

from __future__ import annotations

import ctypes
import gc
import importlib
import linecache
import re
import sys
from collections.abc import Collection
from types import ModuleType
from typing import Any, Final

#: `M_ARENA_MAX` of malloc.h: how many heaps the C library makes for the threads of a process.
_ARENA_MAX: Final = -8

#: What `twistd` loads to list the plugins of other programs, such as trial's, which bring unittest. It loads
#: conch where it has no cache of that list yet, that is, at the first start after an installation.
LOADED_BY_TWISTD: Final = (
    "argparse", "difflib", "twisted.conch", "twisted.cred", "twisted.plugins", "twisted.trial",
    "twisted.words", "unittest",
)  # fmt: skip
#: What Twisted keeps under a name of one of its own modules, and no daemon uses: that module, the name, and
#: what it is. The first one is for old programs, the other one for `twistd --debug`.
KEPT_BY_TWISTED: Final = (
    ("twisted.python.compat", "cookielib", "http.cookiejar"),
    ("twisted.application.app", "pdb", "pdb"),
)
#: What these load in turn, and nothing else here uses: a client of HTTP, mail messages, a debugger.
LOADED_IN_TURN: Final = (
    "email._encoded_words", "email._policybase", "email.feedparser", "email.header", "email.iterators",
    "email.message", "email.parser", "http", "urllib.error", "urllib.request", "urllib.response",
)  # fmt: skip
OF_THE_DEBUGGER: Final = ("bdb", "cmd", "code", "codeop", "pdb")


def use_one_heap() -> None:
    """
    Let all threads share one heap of the C library. Call it before the first thread is started.

    By default a thread has its own, and what it has once used of that is never given back: about a megabyte
    for each thread. Only one thread at a time runs Python code, so they do not compete for the heap. A C
    library without this setting is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)


def forget_caches() -> None:
    """
    Forget what imports have left in caches, all of which are filled again where that is needed.

    They are the names of all files beside the imported modules, regular expressions that no module keeps, and
    the text of generated code.
    """
    sys.path_importer_cache.clear()
    re.purge()
    linecache.clearcache()


def keep_present_objects() -> None:
    """
    Exclude all present objects from garbage collection: modules, classes, the parts of the daemon.

    They stay until the end anyway. To traverse them at each full collection would stop the whole daemon for
    some ten milliseconds, most often while thousands of processes are scanned.
    """
    gc.collect()
    gc.freeze()


def give_back_free_memory() -> None:
    """Give the kernel what the start has used of the heap and does not need any more. Blocks briefly."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _Later(ModuleType):
    """A module that is loaded when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def load_when_used(kept: Collection[tuple[str, str, str]] = KEPT_BY_TWISTED) -> None:
    """Let modules be loaded when they are used that another module keeps under a name: see the constant."""
    for holder_name, name, module_name in kept:
        holder = sys.modules.get(holder_name)
        module = sys.modules.get(module_name)
        if holder is not None and module is not None and getattr(holder, name, None) is module:
            setattr(holder, name, _Later(module_name))


def forget_modules(names: Collection[str] = LOADED_BY_TWISTD) -> bool:
    """
    Forget modules, and those below them, that no other module refers to. Python loads them again if need be.

    :returns: whether they were forgotten; False when another module uses one of them.
    """
    chosen = {
        name: module
        for name, module in sys.modules.items()
        if any(name == each or name.startswith(f"{each}.") for each in names)
    }
    for name, module in list(sys.modules.items()):
        if name not in chosen and _refers(name, module, chosen):
            return False
    for name in chosen:
        del sys.modules[name]
        parent, _, last = name.rpartition(".")
        if parent in sys.modules:
            vars(sys.modules[parent]).pop(last, None)
    chosen.clear()
    gc.collect()
    return True


def _refers(name: str, module: object, chosen: Collection[str]) -> bool:
    """Whether a module has one of the chosen ones, or something of theirs, under a name of its own."""
    for key, value in list(getattr(module, "__dict__", {}).items()):
        if isinstance(value, _Later):
            continue
        if isinstance(value, ModuleType):
            if value.__name__ in chosen and value.__name__ != f"{name}.{key}":
                return True
        elif callable(value) and getattr(value, "__module__", None) in chosen:
            return True
    return False
