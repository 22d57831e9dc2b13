"""The log that keeps nothing still is one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.history.none import NoneLog
from gomd.interfaces import ISampleLog
from tests.unit.history.contract import SampleLogContract


class NoneLogTests(SampleLogContract, SynchronousTestCase):
    """`kind = none`."""

    def make_log(self) -> ISampleLog:
        return NoneLog()
