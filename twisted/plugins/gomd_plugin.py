"""Registers gomd with twistd. Nothing of gomd is imported before somebody runs it."""

from twisted.application.service import ServiceMaker

gomd = ServiceMaker("gomd", "gomd.tap", "The general openMosix daemon: one node of a cluster.", "gomd")
