"""
libgomd: gomd's library. Values and errors are here; the ways to a daemon are modules of their own.

`libgomd.client` for Twisted programs, `libgomd.blocking` for scripts, `libgomd.testing` for tests.
"""

from libgomd.version import VERSION as __version__

__all__ = ["__version__"]
