"""Sends processes where callers want them, for `migrate`, `lock`, `bring`, `expel` and the tree."""

from __future__ import annotations

from gomd.jobs.relocation.service import Relocation

__all__ = ["Relocation"]
