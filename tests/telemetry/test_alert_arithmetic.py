"""Each alert fires for what it is meant for, not for a little less, and clears afterwards; promtool computes it."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from tests.stack.missing import missing

ROOT = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
RULES = sorted((ROOT / "rules").glob("*.yml"))


@dataclass(frozen=True)
class Series:
    """A metric's series: what it is, or by how much it grows in a step, while all is well, nearly bad, and bad."""

    name: str
    well: float
    near: float
    bad: float
    grows: bool = False


@dataclass(frozen=True)
class Case:
    """`steps` is how long it is well, nearly bad, bad, and well again: the alert fires at the end of the third."""

    alert: str
    series: Sequence[Series]
    labels: str = ""
    step_minutes: int = 1
    steps: tuple[int, int, int, int] = (30, 30, 30, 70)

    @property
    def kind(self) -> tuple[int, tuple[int, ...]]:
        """What cases have in common that are computed in one run."""
        return self.step_minutes, self.steps

    @property
    def metrics(self) -> set[str]:
        return {series.name.partition("{")[0] for series in self.series}


def gauge(name: str, well: float, near: float, bad: float) -> Series:
    return Series(name, well, near, bad)


def counter(name: str, well: float, near: float, bad: float) -> Series:
    return Series(name, well, near, bad, grows=True)


def requests(well: float, near: float, bad: float) -> list[Series]:
    """Errors among 10,000 requests a step."""
    return [
        counter("erlmcp_requests_total{outcome='error'}", well, near, bad),
        counter("erlmcp_requests_total{outcome='success'}", 10_000 - well, 10_000 - near, 10_000 - bad),
    ]


def hand_overs(well: float, near: float, bad: float) -> list[Series]:
    """Late ones among 10,000 a step."""
    return [
        counter("erlmcp_delivery_lag_seconds_bucket{le='0.25'}", 10_000 - well, 10_000 - near, 10_000 - bad),
        counter("erlmcp_delivery_lag_seconds_count", 10_000, 10_000, 10_000),
    ]


FAST: dict[str, Any] = {"steps": (70, 70, 70, 15)}
STEADILY: dict[str, Any] = {"step_minutes": 5, "steps": (80, 80, 80, 20)}
SLOWLY: dict[str, Any] = {"step_minutes": 60, "steps": (80, 80, 80, 15)}

CASES = [
    Case("ErlmcpErrorsBurnFast", requests(0, 143, 145), **FAST),
    Case("ErlmcpErrorsBurnSteadily", requests(0, 59, 61), **STEADILY),
    Case("ErlmcpErrorsBurnSlowly", requests(0, 9, 11), **SLOWLY),
    Case("ErlmcpLateDeliveriesBurnFast", hand_overs(20, 1430, 1450), **FAST),
    Case("ErlmcpLateDeliveriesBurnSteadily", hand_overs(20, 590, 610), **STEADILY),
    Case("ErlmcpLateDeliveriesBurnSlowly", hand_overs(20, 95, 105), **SLOWLY),
    Case("ErlmcpFollowersCut", [counter("erlmcp_followers_cut_total", 0, 0, 1)], "instance='one'"),
    Case("ErlmcpNodeAbsent", [gauge("up", 1, 1, 0)], "instance='one'"),
    Case("ErlmcpAbsent", [gauge("up", 1, 1, 0)]),
    Case("ErlmcpNodeNotReady", [gauge("erlmcp_health_check{check='log'}", 0, 1, 2)], "check='log'"),
    Case("ErlmcpNodeDegraded", [gauge("erlmcp_health_check{check='disk'}", 0, 2, 1)], "check='disk'"),
    Case("ErlmcpBreakerOpen", [gauge("erlmcp_breaker_open{part='ring'}", 0, 0, 1)], "part='ring'"),
    Case("ErlmcpWriterQueue", [gauge("erlmcp_writer_waiting", 100, 5000, 5001)]),
    Case("ErlmcpDiskFilling", [gauge("erlmcp_system_disk_ratio", 0.5, 0.85, 0.86)]),
    Case("ErlmcpDiskFull", [gauge("erlmcp_system_disk_ratio", 0.5, 0.95, 0.96)]),
    Case("ErlmcpSubscriptionsLost", [gauge("erlmcp_subscriptions_lost", 0, 0, 1)]),
    Case(
        "ErlmcpLogTooShort",
        [
            gauge("erlmcp_log_head", 2000, 2000, 2000),
            gauge("erlmcp_log_earliest", 1001, 1001, 1001),
            gauge("erlmcp_subscription_headroom", 1000, 100, 99),
        ],
    ),
    Case("ErlmcpFollowersReset", [counter("erlmcp_follower_resets_total", 0, 0, 1)]),
    Case("ErlmcpAuditLag", [gauge("erlmcp_audit_lag_seconds{queue='data'}", 2, 60, 61)], "queue='data'"),
    Case("ErlmcpTrailBent", [gauge("erlmcp_trail_bent{found_by='witness'}", 0, 0, 1)], "found_by='witness'"),
    Case(
        "ErlmcpTrailUnsigned",
        [counter("erlmcp_trail_head", 60, 60, 60), counter("erlmcp_trail_signed", 60, 1, 0)],
    ),
    Case(
        "ErlmcpContentTampered",
        [counter("erlmcp_tampered_total{what='content'}", 0, 0, 1)],
        "what='content'",
    ),
    Case("ErlmcpSinkLag", [gauge("erlmcp_sink_lag_seconds{sink='siem'}", 3, 300, 301)], "sink='siem'"),
    Case("ErlmcpSinkDeadLetters", [counter("erlmcp_sink_dead_letters{sink='siem'}", 0, 0, 1)], "sink='siem'"),
    Case(
        "ErlmcpLimitsRefuse",
        [
            counter("erlmcp_requests_total{outcome='refused'}", 100, 100, 100),
            counter("erlmcp_errors_total{category='retryable',code='rate_limited'}", 0, 4, 6),
        ],
    ),
    Case(
        "ErlmcpExportsDropped",
        [counter("erlmcp_export_dropped_points_total{exporter='otlp'}", 0, 0, 1)],
        "exporter='otlp'",
    ),
]


def test_the_configuration_and_its_rules_are_valid() -> None:
    ran = promtool("check", "config", str(ROOT / "prometheus.yml"))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_there_is_a_case_for_each_alert() -> None:
    alerts = [rule["alert"] for path in RULES for group in _groups(path) for rule in group["rules"] if "alert" in rule]
    assert sorted(case.alert for case in CASES) == sorted(alerts)


def test_each_alert_fires_and_clears_and_leaves_what_is_nearly_bad_alone(tmp_path: Path) -> None:
    for number, (kind, cases) in enumerate(_runs()):
        step = f"{kind[0]}m"
        path = tmp_path / f"{number}.yml"
        path.write_text(
            yaml.safe_dump(
                {
                    "rule_files": [str(rules) for rules in RULES],
                    # alerts are computed after what they ask for; else promtool takes any order
                    "group_eval_order": [group["name"] for path in reversed(RULES) for group in _groups(path)],
                    "evaluation_interval": step,
                    "tests": [
                        {
                            "interval": step,
                            "input_series": [_input(series, case) for case in cases for series in case.series],
                            "promql_expr_test": [moment for case in cases for moment in _moments(case)],
                        }
                    ],
                }
            )
        )
        ran = promtool("test", "rules", str(path))
        assert ran.returncode == 0, ran.stdout + ran.stderr


def _runs() -> list[tuple[tuple[int, tuple[int, ...]], list[Case]]]:
    """Cases that share how long things last and no metric are computed together."""
    runs: list[tuple[tuple[int, tuple[int, ...]], list[Case]]] = []
    for case in CASES:
        for kind, cases in runs:
            if kind == case.kind and all(case.metrics.isdisjoint(other.metrics) for other in cases):
                cases.append(case)
                break
        else:
            runs.append((case.kind, [case]))
    return runs


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        missing("promtool (Debian: prometheus)")
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=300, check=False)


def _groups(path: Path) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load(path.read_text())["groups"]
    return groups


def _moments(case: Case) -> Iterator[dict[str, Any]]:
    """Whether the alert fires at the end of each time."""
    firing = f"count(ALERTS{{alertname='{case.alert}',alertstate='firing',{case.labels}}})"
    for step, fires in zip(accumulate(case.steps), (False, False, True, False), strict=True):
        samples = [{"labels": "{}", "value": 1}] if fires else []
        yield {"expr": firing, "eval_time": f"{step * case.step_minutes}m", "exp_samples": samples}


def _input(series: Series, case: Case) -> dict[str, str]:
    spans = zip((series.well, series.near, series.bad, series.well), case.steps, strict=True)
    values = [series.well, *(value for value, steps in spans for _ in range(steps))]
    name, _, labels = series.name.partition("{")
    others = f",{labels[:-1]}" if labels else ""
    shown = " ".join(f"{value:.12g}" for value in (accumulate(values) if series.grows else values))
    return {"series": f"{name}{{job='erlmcp',instance='one'{others}}}".replace("'", '"'), "values": shown}
