"""What the daemon forgets of what twistd has loaded, and what it must not forget."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from gomd.services.own_memory import KEPT_BY_TWISTED, forget_modules, load_when_used

_NAMES = ("only_of_plugins", "only_of_plugins_too")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two modules that refer to each other, as those that a list of plugins has loaded."""
    package = tmp_path / "only_of_plugins"
    package.mkdir()
    (package / "__init__.py").write_text("class Thing: pass\ndef make(): return Thing()\n")
    (package / "part.py").write_text("from only_of_plugins import Thing\n")
    (tmp_path / "only_of_plugins_too.py").write_text("import only_of_plugins.part\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("only_of_plugins_too")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("only_of_plugins")]:
        del sys.modules[name]


def test_what_nobody_refers_to_is_forgotten(modules: Path) -> None:
    """Those below a package too; and they can be imported again."""
    assert forget_modules(_NAMES)
    assert [name for name in sys.modules if name.startswith("only_of_plugins")] == []
    __import__("only_of_plugins_too")
    assert "only_of_plugins.part" in sys.modules


@pytest.mark.parametrize("use", ["import only_of_plugins as it", "from only_of_plugins import Thing as it",
                                 "from only_of_plugins import make as it"])  # fmt: skip
def test_what_another_module_uses_stays(modules: Path, monkeypatch: pytest.MonkeyPatch, use: str) -> None:
    """Else that one and whoever imports it next would have two different ones."""
    (modules / "user_of_it.py").write_text(f"{use}\n")
    __import__("user_of_it")
    try:
        assert not forget_modules(_NAMES)
        assert "only_of_plugins.part" in sys.modules
    finally:
        del sys.modules["user_of_it"]


def test_what_another_module_only_keeps_is_loaded_when_it_is_used(modules: Path) -> None:
    """It can be forgotten then, and whoever uses it by that name gets the whole of it."""
    (modules / "user_of_it.py").write_text("import only_of_plugins as it, json as other\n")
    user = importlib.import_module("user_of_it")
    try:
        load_when_used((("user_of_it", "it", "only_of_plugins"), ("user_of_it", "other", "only_of_plugins")))
        load_when_used((("no_such_module", "it", "only_of_plugins"),))
        assert user.other.__name__ == "json"  # something else by now
        assert forget_modules(_NAMES)
        assert "only_of_plugins" not in sys.modules
        assert type(user.it.make()).__name__ == "Thing"
        assert user.it.Thing is sys.modules["only_of_plugins"].Thing
    finally:
        del sys.modules["user_of_it"]


def test_twisted_still_has_what_it_keeps() -> None:
    """For an old program, and for `twistd --debug`."""
    code = (
        "import sys, twisted.python.compat, twisted.application.app, http.cookiejar, pdb\n"
        "from gomd.services.own_memory import *; load_when_used()\n"
        "assert type(twisted.application.app.pdb) is not type(pdb)\n"
        "assert twisted.application.app.pdb.Pdb is pdb.Pdb\n"
        "print(twisted.python.compat.cookielib.CookieJar is http.cookiejar.CookieJar)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout == "True\n"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for holder, name, module in KEPT_BY_TWISTED:
            assert getattr(importlib.import_module(holder), name) is importlib.import_module(module)


def test_a_test_runner_keeps_what_it_runs_on() -> None:
    """The packages of the daemon are imported by tests as well."""
    code = "import unittest, sys; import gomd.tap; assert sys.modules['unittest'] is unittest; print('kept')"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout == "kept\n"


#: Loads every module of plugins, as twistd does at the first start after an installation.
LOAD_PLUGINS = (
    "import importlib, pkgutil, twisted.plugins\n"
    "for each in pkgutil.iter_modules(twisted.plugins.__path__):\n"
    "    importlib.import_module(f'twisted.plugins.{each.name}')\n"
    "del twisted, each\n"
)


@pytest.mark.parametrize("first", ["", LOAD_PLUGINS], ids=["a later start", "the first start"])
def test_a_daemon_forgets_what_only_its_start_has_used(tmp_path: Path, first: str) -> None:
    """
    twistd loads unittest to list the plugins that can be run; gomd.ini is read with configobj.

    Older versions of Twisted do not load unittest, so the test does.
    """
    (tmp_path / "gomd.ini").write_text("")
    code = (
        f"{first}import sys, unittest; del unittest; from twisted.plugin import getPlugins\n"
        "from twisted.application.service import IServiceMaker\n"
        "maker = next(each for each in getPlugins(IServiceMaker) if each.tapname == 'gomd')\n"
        "del IServiceMaker, getPlugins; options = maker.options()\n"
        f"options.parseOptions(['--config', {str(tmp_path / 'gomd.ini')!r}])\n"
        "forgotten = ('unittest', 'argparse', 'difflib', 'configobj', 'gomd.config.loading', 'http.client',\n"
        "             'email.message', 'urllib.request')\n"
        "print(*[name for name in forgotten if name in sys.modules])\n"
        "print(options.load() == options['configuration'])  # they are imported again\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout == "\nTrue\n"


def test_caches_of_imports_are_filled_again() -> None:
    """Nothing but time is lost: a module that was not imported yet is found, a pattern is compiled again."""
    code = (
        "import linecache, re, sys; from gomd.services.own_memory import forget_caches; forget_caches()\n"
        "print(len(sys.path_importer_cache), len(linecache.cache))\n"
        "import gomd.services.threads; print(re.fullmatch('a+', 'aa') is not None)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout == "0 0\nTrue\n"


def test_the_heap_is_set_and_trimmed_where_that_can_be_done() -> None:
    """On another C library nothing happens; nowhere does it fail."""
    code = "from gomd.services.own_memory import *; use_one_heap(); give_back_free_memory(); print('done')"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout == "done\n"
