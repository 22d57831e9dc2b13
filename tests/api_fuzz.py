"""
Has schemathesis ask a real daemon whatever its description of the API allows, and more: `make fuzz-api`.

It finds no status 500, and no answer that /api/v1/openapi.json does not describe. What would end the daemon,
or other processes, is left out, and so are streams, which do not end.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from gom import token as tokens
from tests.integration.daemon import Daemon
from tests.integration.web import Web

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
LEFT_OUT = r"(/watch/|/(kill|signal|shutdown|renice|migrate|put|do)\b)"


def main() -> int:
    """Run it with as many examples of each operation as the first argument says; return its exit status."""
    examples = sys.argv[1] if len(sys.argv) > 1 else "25"
    with tempfile.TemporaryDirectory(prefix="gomd-fuzz-") as directory:
        home = Path(directory)
        token = tokens.add(str(home / "tokens"), "root", "admin")
        ini = f"[telnet]\ntokens_file = {home / 'tokens'}\n"
        with Daemon(home / "daemon", "--http", "tcp:127.0.0.1:0", "--source", "memory", ini=ini) as daemon:
            done = subprocess.run(
                [str(Path(sys.executable).with_name("st")), "run", "--phases", "fuzzing", "-n", examples,
                 "--checks", CHECKS, "--exclude-path-regex", LEFT_OUT, "--request-timeout", "30",
                 "-H", f"Authorization: Bearer {token}",
                 f"http://127.0.0.1:{Web(daemon).port}/api/v1/openapi.json"],
                cwd=home, check=False,
            )  # fmt: skip
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
