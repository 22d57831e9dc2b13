"""The log that keeps nothing still is one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.interfaces import ISampleLog
from gomd.samplelogs.none import NoneLog
from tests.unit.samplelogs.contract import SampleLogContract


class NoneLogTests(SampleLogContract, SynchronousTestCase):
    """`kind = none`."""

    def make_log(self) -> ISampleLog:
        return NoneLog()
