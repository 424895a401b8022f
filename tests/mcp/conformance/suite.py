"""Runs of the suite, and what they have found."""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from tests.mcp.conformance.installation import installed, node
from tests.stack.processes import Process

PACKAGE: Final = "@modelcontextprotocol/conformance"
WITHIN_SECONDS: Final = 150
RESULTS: Final = re.compile(r"server-(?P<scenario>.+)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z")

IN_A_HURRY: Final = frozenset({"server-stateless", "server-sse-multiple-streams", "server-sse-polling"})
"""Scenarios that wait for some answers for half a second to five: a stall of the machine makes one run of them fail."""

TOLD_SOON: Final = "-list-changed-on-subscription"
"""How the checks end that warn when a change is not told within a second and a half; that it is told, others test."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a scenario that was not passed."""

    scenario: str
    id: str
    message: str

    def __str__(self) -> str:
        return f"{self.scenario}: {self.id}: {self.message}"


@cache
def scenarios(revision: str, *, scored: bool = True) -> frozenset[str]:
    """The scenarios for servers that a revision requires, or those that are run with them and do not count."""
    path = installed() / PACKAGE / "requirements" / f"{revision}.yaml"
    listed: Mapping[str, Any] = yaml.safe_load(path.read_text())
    if scored:
        return frozenset(listed["server"])
    return frozenset(one["scenario"] for one in listed["not_scored"] if one["leg"] == "server")


class Run:
    """One run of the suite in a process of its own; it begins at once.

    `what` are the options that say what is run: of a requirement set by `requirements`, of one scenario by `alone`.
    """

    def __init__(self, url: str, folder: Path, what: Iterable[str]) -> None:
        folder.mkdir()
        self._folder = folder
        self._began = time.monotonic()
        program = str(installed() / ".bin" / "conformance")
        command = [str(node()), program, "server", "--url", url, "--output-dir", str(folder), *what]
        self._process = Process(command, folder=folder)
        self.seconds = 0.0

    def failed(self) -> list[Check]:
        """The checks that failed, once the run has ended. Raises Late."""
        self._process.wait(WITHIN_SECONDS)
        self.seconds = time.monotonic() - self._began
        return [check for scenario, checks in self._results().items() for check in checks_failed(scenario, checks)]

    def ran(self) -> set[str]:
        """The scenarios that were run, each with checks that it passed or did not."""
        return {
            scenario
            for scenario, checks in self._results().items()
            if any(check["status"] in {"SUCCESS", "FAILURE"} for check in checks)
        }

    def stop(self) -> None:
        """End it, if it has not ended."""
        if self._process.is_running:
            self._process.kill()

    @property
    def output(self) -> str:
        return self._process.output

    def _results(self) -> dict[str, list[Mapping[str, Any]]]:
        found: dict[str, list[Mapping[str, Any]]] = {}
        for path in sorted(self._folder.glob("*/checks.json")):
            named = RESULTS.fullmatch(path.parent.name)
            assert named is not None, path
            found[named["scenario"]] = orjson.loads(path.read_bytes())
        return found


def requirements(revision: str) -> tuple[str, ...]:
    """The options of a run of all that a revision requires."""
    return "--requirements", revision


def alone(scenario: str, revision: str) -> tuple[str, ...]:
    """The options of a run of one scenario."""
    return "--scenario", scenario, "--spec-version", revision


def checks_failed(scenario: str, checks: Iterable[Mapping[str, Any]]) -> list[Check]:
    """Those of a scenario's checks that failed; a warning, where something should be, counts unless it is of time."""
    return [
        Check(scenario, check["id"], check.get("errorMessage") or check.get("description", ""))
        for check in checks
        if check["status"] == "FAILURE" or (check["status"] == "WARNING" and not check["id"].endswith(TOLD_SOON))
    ]
