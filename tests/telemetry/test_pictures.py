"""Dashboards and rules ask for what there is: metrics, labels and values of the code, and rules that are recorded."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from erlmcp_site.pipeline.stages import Stage
from erlmcp_site.transports.wire import ROWS
from sessions_app.states import State
from telemetry_app import metrics, system  # noqa: F401  # which fill the catalogue
from telemetry_app.catalogue import BY_SAMPLE
from telemetry_app.stages import WHOLE
from tests.stack.missing import missing

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
RUNBOOK = ROOT / "docs" / "alerts.md"

OF_PROMETHEUS = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate"}}
OF_SCRAPES = {"job", "instance", "le"}
VALUES = {
    "job": {"erlmcp"},
    "outcome": {"success", "refused", "error"},
    "code": set(ROWS),
    "stage": {*map(str, Stage), WHOLE},
    "state": {str(state) for state in State},
    "result": {"hit", "miss", "stale", "error"},
    "alertstate": {"firing", "pending"},
}
VARIABLES = {"$__rate_interval": "5m", "$__range": "3h", '"$instance"': '".+"'}
UNITS = {"short", "reqps", "ops", "percentunit", "s", "bytes", "Bps"}
COLUMNS = 24
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
SELECTOR = re.compile(r"([a-zA-Z_][a-zA-Z0-9_:]*)\s*\{([^}]*)\}")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
NAME = re.compile(r"(?<![\w:$\"])(erlmcp[\w:]*)(?![\w:\"])")


def panels(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["panels"]
    return found


def rules() -> list[dict[str, Any]]:
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


ALERTS = [rule for rule in rules() if "alert" in rule]
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
QUESTIONS = {
    **{rule.get("alert") or rule["record"]: rule["expr"] for rule in rules()},
    **{
        f"{path.stem} {panel['title']} {target['refId']}": target["expr"]
        for path in DASHBOARDS
        for panel in panels(path)
        for target in panel.get("targets", [])
    },
}


def labels_of(name: str) -> set[str]:
    """The labels that the series of a metric, or of what is recorded, may have. Raises KeyError for one that is not."""
    if name in OF_PROMETHEUS:
        return OF_PROMETHEUS[name]
    if name in RECORDED:
        return {"job"}
    return {*BY_SAMPLE[name].labels, *OF_SCRAPES}


def used(question: str) -> Iterator[str]:
    yield from NAME.findall(MATCHER.sub("", question))


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_what_is_asked_for_is_there(question: str) -> None:
    for name in used(question):
        assert name in BY_SAMPLE or name in RECORDED, name
    for name, matchers in SELECTOR.findall(question):
        for label, _, value in MATCHER.findall(matchers):
            assert label in labels_of(name), (name, label)
            _check_value(name, label, value)


def _check_value(name: str, label: str, value: str) -> None:
    if label == "le":
        assert float(value) in BY_SAMPLE[name].buckets, (name, value)
    elif label not in {"instance", "alertname"}:
        assert value in VALUES[label], (label, value)


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_results_are_grouped_by_labels_that_are_there(question: str) -> None:
    known = {label for name in used(question) for label in labels_of(name)} | OF_SCRAPES
    for labels in GROUPING.findall(question):
        assert {label.strip() for label in labels.split(",")} <= known, labels


def test_prometheus_understands_every_question(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        missing("promtool (Debian: prometheus)")
    written = []
    for number, question in enumerate(QUESTIONS.values()):
        for variable, value in VARIABLES.items():
            question = question.replace(variable, value)
        written.append({"record": f"question:{number}", "expr": question})
    path = tmp_path / "questions.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "questions", "rules": written}]}))
    ran = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_everything_that_is_recorded_is_asked_for() -> None:
    assert {name for question in QUESTIONS.values() for name in used(question)} >= RECORDED


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_how_bad_it_is_what_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"]["summary"]
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert ROOT / page == RUNBOOK
    assert anchor == alert["alert"].lower()
    named = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
    grouped = {label.strip() for labels in GROUPING.findall(alert["expr"]) for label in labels.split(",")}
    plain = {label for name in used(alert["expr"]) for label in labels_of(name)} | {"job", "instance"}
    assert named <= (grouped or plain), "a summary names a label that the alert has"


def test_the_runbook_tells_of_each_alert_what_it_means_how_to_look_and_what_to_do() -> None:
    sections = re.split(r"^### ", RUNBOOK.read_text(), flags=re.M)[1:]
    titles = [section.partition("\n")[0].strip() for section in sections]
    assert sorted(titles) == sorted(alert["alert"] for alert in ALERTS)
    for section in sections:
        assert re.findall(r"^\*\*(.+?)\.\*\*", section, flags=re.M) == ["What it means", "How to look", "What to do"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_one_that_grafana_loads_and_people_understand(path: Path) -> None:
    board = json.loads(path.read_text())
    assert (board["uid"], board["schemaVersion"]) == (path.stem, 39)
    assert board["title"] and board["description"] and "erlmcp" in board["tags"]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["instance"]["datasource"]["uid"] == "${datasource}"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in board["panels"]:
        assert panel["type"] in {"row", "timeseries", "stat"} and panel["title"]
        if panel["type"] == "row":
            continue
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"], panel["title"]
        for target in [panel, *panel["targets"]]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_no_panel_lies_on_another(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(path):
        at = panel["gridPos"]
        cells = {(at["x"] + right, at["y"] + down) for right in range(at["w"]) for down in range(at["h"])}
        assert at["x"] + at["w"] <= COLUMNS
        assert taken.isdisjoint(cells), panel["title"]
        taken |= cells


def test_there_is_a_dashboard_for_each_part_and_a_file_that_provides_them() -> None:
    assert [path.stem for path in DASHBOARDS] == [
        f"erlmcp-{part}" for part in ("audit", "database", "delivery", "overview")
    ]
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    provider = yaml.safe_load((provisioning / "dashboards.yaml").read_text())["providers"][0]
    source = yaml.safe_load((provisioning / "datasources.yaml").read_text())["datasources"][0]
    assert (provider["type"], source["type"]) == ("file", "prometheus")
    assert (
        source["jsonData"]["timeInterval"]
        == yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["global"]["scrape_interval"]
    )
