"""What a benchmark comes to: figures, printed as one Markdown table and kept as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One server's showing in one case.

    `per_s` and `per_cpu_s` count operations (requests, or deliveries to followers); CPU seconds are user and system of
    the server's whole process tree, without PostgreSQL, whose share is in `cpu`. Latencies are milliseconds as the
    client sees them. `also` holds what only this case measures, by name and unit.
    """

    case: str
    server: str
    per_s: float | None = None
    per_cpu_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    also: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    cpu: Mapping[str, float] = field(default_factory=dict)


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table, case by case in the order they were measured."""
    cases = list(dict.fromkeys(figure.case for figure in figures))
    head = ("case", "server", "per s", "per server-CPU-s", "p50 ms", "p99 ms", "CPU s", "note")
    rows = [head, tuple("---" if n in (0, 1, 6, 7) else "---:" for n in range(len(head)))]
    for figure in sorted(figures, key=lambda figure: cases.index(figure.case)):
        rows.append(
            (
                figure.case,
                figure.server,
                _count(figure.per_s),
                _count(figure.per_cpu_s),
                _time(figure.p50_ms),
                _time(figure.p99_ms),
                ", ".join(f"{name} {seconds:.2f}" for name, seconds in figure.cpu.items()),
                ", ".join(
                    [f"{name} {number:,.4g}" for name, number in figure.also.items()]
                    + [figure.note] * bool(figure.note)
                ),
            )
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def save(figures: Sequence[Figure], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")


def _count(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"


def _time(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.1f}"
