"""`gom key new FILE`: makes the key file that all nodes of a cluster share."""

from __future__ import annotations

import base64
import os

from gom.secretfiles import create

KEY_BYTES = 32


def new(path: str) -> str:
    """
    Make a key file: one line, base64 of 32 random bytes, mode 0600. Blocks.

    :returns: a sentence for the user.
    :raises ConfigError: the file exists already, or it cannot be written.
    """
    create(path, base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
    return f"{path} is the cluster's secret: copy it to every node, readable by gomd's user only"
