"""What `compose.yaml` says of a service, as far as it means something to processes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

COMPOSE = Path(__file__).resolve().parents[1] / "compose" / "compose.yaml"
OURS = "erlmcp"
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\}")
SECONDS = re.compile(r"(\d+)s")


class Unset(Exception):
    """A variable that has no default is not set; the message says which, and what it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service. `ready` is a command that ends with 0 once it serves; empty: it is up when it runs.

    `after` are the names of those that have to be up before it starts. `is_job`: others wait until it has ended.
    """

    name: str
    is_ours: bool
    is_job: bool
    command: Sequence[str]
    environment: Mapping[str, str]
    ready: Sequence[str]
    after: Sequence[str]
    restarts: bool
    stop_signal: str
    stop_seconds: int

    @property
    def finishes(self) -> bool:
        """Whether it lets what is open go on when it is told to end, and ends when that has."""
        return self.stop_signal == "SIGUSR1"


def read_services(variables: Mapping[str, str], path: Path = COMPOSE) -> list[Service]:
    """The services, each behind those that it needs; `variables` stand in for what an operator sets.

    Raises Unset.
    """
    found = yaml.safe_load(path.read_text())["services"]
    jobs = {
        needed
        for told in found.values()
        for needed, how in told.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    return _in_order([_service(name, told, name in jobs, variables) for name, told in found.items()])


def filled(text: str, variables: Mapping[str, str]) -> str:
    """The text with ${NAME}, ${NAME:-default} and ${NAME:?what it should be} as compose replaces them. Raises Unset."""

    def value(match: re.Match[str]) -> str:
        given = variables.get(match["name"], "")
        if given or match["kind"] is None:
            return given
        if match["kind"] == "?":
            raise Unset(f"{match['name']}: {match['text']}")
        return match["text"]

    return VARIABLE.sub(value, text)


def _service(name: str, told: Mapping[str, Any], is_job: bool, variables: Mapping[str, str]) -> Service:
    check = told.get("healthcheck", {}).get("test", ["CMD"])
    environment = {key: filled(str(text), variables) for key, text in told.get("environment", {}).items()}
    seconds = SECONDS.fullmatch(told.get("stop_grace_period", "10s"))
    assert seconds is not None and check[0] == "CMD", name
    return Service(
        name=name,
        is_ours=told["image"] == OURS,
        is_job=is_job,
        command=[filled(part, variables) for part in told.get("command", [])],
        environment=environment,
        ready=check[1:],
        after=list(told.get("depends_on", {})),
        restarts="restart" in told,
        stop_signal=told.get("stop_signal", "SIGTERM"),
        stop_seconds=int(seconds[1]),
    )


def _in_order(services: Sequence[Service]) -> list[Service]:
    placed: dict[str, Service] = {}
    while len(placed) < len(services):
        fit = [one for one in services if one.name not in placed and placed.keys() >= set(one.after)]
        assert fit, "services need each other in a circle, or one that is not there"
        placed |= {one.name: one for one in fit}
    return list(placed.values())
