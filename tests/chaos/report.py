"""A run in Markdown, for docs/reliability.md."""

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

from tests.chaos.engine import Report, Struck
from tests.chaos.trials import Tried, row_of
from tests.chaos.verdict import Breach

TRANSPORTS = (
    *("rest", "websocket", "grpc", "mcp"),
    *("websocket stream", "sse stream", "grpc stream", "poll stream", "mcp stream"),
)


def markdown(report: Report, began: str, minutes: float) -> str:
    """The whole report: where it ran, what happened in each fault, and what was broken."""
    lines = [
        f"Run of {began}, {minutes:.0f} minutes, seed {report.seed}.",
        "",
        *(f"- {line}" for line in _machine()),
        f"- {report.changes} changes and {report.reads} reads were answered; {report.events} events were handed to"
        f" {report.followers} followers over {report.connections} connections.",
        f"- Refusals met: {', '.join(sorted(report.codes)) or 'none'}.",
        f"- Changes whose fate no client learnt: {report.unknown}.",
        f"- Broken promises (gaps, inversions, lost or doubled changes, and the rest): {len(report.breaches)}.",
        "",
        *_table(report.struck),
        *_broken(report.breaches),
    ]
    return "\n".join(lines)


def tried_markdown(tried: Sequence[Tried], began: str, minutes: float) -> str:
    """The same of scenarios."""
    lines = [
        f"Scenarios of {began}, {minutes:.0f} minutes.",
        "",
        *(f"- {line}" for line in _machine()),
        f"- Broken promises: {sum(len(one.breaches) for one in tried)}.",
        "",
        _row(["scenario", "rounds", "best and worst of them", "broken promises"]),
        _row(["---"] * 4),
        *(_row(row_of(one)) for one in tried),
        *_broken([breach for one in tried for breach in one.breaches]),
    ]
    return "\n".join(lines)


def _broken(breaches: Sequence[Breach]) -> list[str]:
    told = [f"- {one.promise}: {one.what}" for one in breaches[:50]]
    return ["", "Broken promises:", "", *told] if told else []


def _machine() -> list[str]:
    gigabytes = psutil.virtual_memory().total / 2**30
    return [
        f"{os.cpu_count()} cores, {gigabytes:.0f} GiB, {platform.system()} {platform.release().split('-')[0]};"
        " clients, nodes, databases and gateway all on this one machine",
        f"Python {platform.python_version()}, {', '.join(_versions())}",
    ]


def _versions() -> Iterable[str]:
    """What the programs beside us call themselves, as far as they are there."""
    for program, *options in (["haproxy", "-v"], ["redis-server", "--version"]):
        found = next((path for path in ("/usr/sbin", "/usr/bin", "/usr/local/bin") if Path(path, program).exists()), "")
        if found:
            told = subprocess.run(
                [f"{found}/{program}", *options], capture_output=True, text=True, timeout=20, check=True
            )
            yield " ".join(told.stdout.split()[:3])


def _table(struck: Sequence[Struck]) -> list[str]:
    """A row for each kind of fault; times are the worst of all its rounds, in seconds."""
    rounds: dict[str, list[Struck]] = {}
    for one in struck:
        rounds.setdefault(one.name, []).append(one)
    heads = ["fault", "times", "calls", "attempts", "unclear", "never answered"]
    heads += [*(f"{transport}, longest away" for transport in TRANSPORTS), "caught up after", "beside"]
    return [_row(heads), _row(["---"] * len(heads)), *(_row(_cells(name, all)) for name, all in rounds.items())]


def _cells(name: str, rounds: Sequence[Struck]) -> list[str]:
    figures = {figure: max(one.figures.get(figure, 0.0) for one in rounds) for one in rounds for figure in one.figures}
    return [
        name,
        str(len(rounds)),
        str(sum(one.calls for one in rounds)),
        str(sum(one.attempts for one in rounds)),
        str(sum(one.unclear for one in rounds)),
        str(sum(one.failed for one in rounds)),
        *(_worst(one.away.get(transport) for one in rounds) for transport in TRANSPORTS),
        _worst(one.caught_up for one in rounds),
        ", ".join(f"{figure} {seconds:.1f}" for figure, seconds in figures.items()),
    ]


def _worst(seconds: Iterable[float | None]) -> str:
    known = [one for one in seconds if one is not None]
    return f"{max(known):.1f}" if known else "–"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
