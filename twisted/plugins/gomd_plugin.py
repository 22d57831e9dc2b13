"""Tells twistd of gomd. Nothing of gomd is imported until it is chosen."""

from twisted.application.service import ServiceMaker

gomd = ServiceMaker("gomd", "gomd.tap", "The general openMosix daemon: a cluster's node answers.", "gomd")
