"""The dashboard and the alert rules of contrib, against a real Prometheus that scrapes two real daemons."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.doc_blocks import BLOCKS
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE
from tests.integration.jobs import free_port
from tests.integration.web import Web

GRAFANA = Path(__file__).parents[2] / "contrib" / "grafana"
RULES = GRAFANA / "gomd-alerts.yml"
PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

pytestmark = pytest.mark.skipif(PROMETHEUS is None or PROMTOOL is None, reason="prometheus is not installed")


def expressions() -> Iterator[str]:
    """Yield every expression of the dashboard and of the rules."""
    for panel in json.loads((GRAFANA / "gomd.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    yield from re.findall(r"^ +expr: (.*)$", RULES.read_text(), re.MULTILINE)


@contextmanager
def prometheus(home: Path, *targets: int) -> Iterator[int]:
    """Run a Prometheus that scrapes these ports once a second; yield its own port."""
    assert PROMETHEUS is not None
    port = free_port()
    where = [f"127.0.0.1:{target}" for target in targets]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "gomd", "static_configs": [{"targets": where}]}],
    }
    (home / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with subprocess.Popen(
        [PROMETHEUS, f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={home / 'tsdb'}",
         f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield port
        finally:
            process.kill()


def query(port: int, expression: str) -> list[Any]:
    """Return what an expression gives now. An expression that is wrong raises."""
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with NO_PROXY.open(url, timeout=PATIENCE) as answer:
        told = json.load(answer)
    assert told["status"] == "success", told
    found: list[Any] = told["data"]["result"]
    return found


def test_promtool_finds_nothing_in_the_rules() -> None:
    """Neither in the syntax nor in the templates."""
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_configuration_of_the_page(tmp_path: Path) -> None:
    """The blocks of docs/http.md are one prometheus.yml, the second one the end of its job."""
    assert PROMTOOL is not None
    file = tmp_path / "prometheus.yml"
    file.write_text("".join(b.text for b in BLOCKS if (b.page, b.language) == ("http.md", "yaml")))
    done = subprocess.run(
        [PROMTOOL, "check", "config", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "metric_relabel_configs" in file.read_text()


def test_every_expression_is_about_metrics_that_are_there(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Each can be evaluated, and each metric that it names is scraped from both daemons."""
    ports = [
        Web(start_daemon("--http", "tcp:127.0.0.1:0", "--node-id", str(node), "--name", f"n{node}")).port
        for node in (1, 2)
    ]
    with prometheus(tmp_path, *ports) as port:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if len(query(port, "gomd_build_info")) == 2:
                    break
            except OSError:
                pass
            time.sleep(0.3)
        for expression in expressions():
            query(port, expression)
            for name in re.findall(r"gomd_\w+", expression):
                assert len(query(port, name)) >= 2, f"{name} in {expression}"
        assert query(port, "sum(max by (node, name) (gomd_node_up))")[0]["value"][1] == "2"
        assert {each["metric"].get("alertname") for each in query(port, "ALERTS")} <= {"GomdOverloaded"}
