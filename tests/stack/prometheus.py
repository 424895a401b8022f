"""A Prometheus that scrapes nodes every other second, with the rules of deploy/prometheus in a hurry."""

import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.stack.missing import missing
from tests.stack.processes import Process, free_port
from tests.stack.waiting import PATIENCE, wait_until

DEPLOYED = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"

WINDOWS = {"5m": "8s", "30m": "8s", "15m": "10s", "1h": "10s", "6h": "10s", "3d": "10s"}
HURRY = (
    *((rf"\[{window}\]", f"[{short}]") for window, short in WINDOWS.items()),
    # what waits for more than seconds is waited for no longer than that
    (r"(erlmcp_(?:audit|sink)_lag_seconds\{[^}]*\}\)) > \d+", r"\1 > 2"),
    # and dozens of changes that wait are many
    (r"(erlmcp_writer_waiting\{[^}]*\}\)) > \d+", r"\1 > 20"),
)
"""What tests put in place of what the rules say; `for` becomes a second, and rules are computed each second.

Everything else stays as deployed: the metrics, the thresholds of shares, the labels and the texts.
"""


class Prometheus:
    """Scrapes and computes until it is stopped. `alerts` are those that fire."""

    def __init__(self, targets: Iterable[str]) -> None:
        if shutil.which("prometheus") is None:
            missing("prometheus (Debian: prometheus)")
        self._folder = Path(tempfile.mkdtemp(prefix="erlmcp-prometheus-"))
        self._port = free_port()
        config = self._folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(_configured(targets, self._folder)))
        self._process = Process(
            [
                *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={self._folder / 'data'}"),
                *(f"--web.listen-address=127.0.0.1:{self._port}", "--log.level=warn"),
            ],
            folder=self._folder,
        )
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=PATIENCE, trust_env=False)
        wait_until(self._is_ready, PATIENCE, "Prometheus is ready")

    def alerts(self) -> dict[str, Mapping[str, Any]]:
        """The alerts that fire, by name: each with the labels and annotations of one of them."""
        found = self._get("alerts")["alerts"]
        return {alert["labels"]["alertname"]: alert for alert in found if alert["state"] == "firing"}

    def value(self, question: str) -> float:
        """What PromQL answers, as a number; NaN when that is nothing."""
        result = self._get("query", query=question)["result"]
        return float(result[0]["value"][1]) if result else float("nan")

    def troubles(self) -> list[str]:
        """What kept rules from being computed."""
        groups = self._get("rules")["groups"]
        return [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")]

    def stop(self) -> None:
        self._http.close()
        self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_ready(self) -> bool:
        assert self._process.is_running, self._process.output
        try:
            return self._http.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def _get(self, path: str, **params: str) -> Any:
        response = self._http.get(f"/api/v1/{path}", params=params)
        assert response.status_code == 200, response.text
        return response.json()["data"]


def _configured(targets: Iterable[str], folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text())
    del config["alerting"]
    config["global"] = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"][0]["targets"] = list(targets)
    config["rule_files"] = []
    for path in sorted((DEPLOYED / "rules").glob("*.yml")):
        rules = yaml.safe_load(path.read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                rule["expr"] = hurried(rule["expr"])
                if "for" in rule:
                    rule["for"] = "1s"
        config["rule_files"].append(str(folder / path.name))
        (folder / path.name).write_text(yaml.safe_dump(rules))
    return config


def hurried(question: str) -> str:
    """A rule's expression with the substitutions of HURRY."""
    for pattern, short in HURRY:
        question = re.sub(pattern, short, question)
    return question
