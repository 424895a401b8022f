"""A snapshot as people read it in a terminal."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from telemetry_app.panels import Row, age, count, panels

Json = Mapping[str, Any]

STYLES = {"ok": "green", "degraded": "yellow", "failed": "bold red"}
PANEL_WIDTH = 38


def frame(url: str, snapshot: Json, trouble: str | None = None) -> RenderableType:
    """Everything there is to see; `trouble` says why it is not of now."""
    parts: list[RenderableType] = [
        _headline(url, snapshot["health"], trouble),
        Columns([_panel(title, rows) for title, rows in panels(snapshot["figures"])], padding=(0, 2)),
    ]
    unwell = [(name, found) for name, found in snapshot["health"]["checks"].items() if found["status"] != "ok"]
    parts.extend(Text(f"{name}: {found['detail']}", style=STYLES[found["status"]]) for name, found in unwell)
    parts.append(_topics(snapshot["slow_topics"]))
    return Group(*parts)


def _headline(url: str, health: Json, trouble: str | None) -> Text:
    line = Text.assemble((url, "bold"), "  ")
    line.append("ready" if health["status"] == "ok" else "not ready", STYLES[health["status"]])
    if trouble is not None:
        line.append(f"  {trouble}", "bold red")
    return line


def _panel(title: str, rows: Iterable[Row]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 1))
    table.width = PANEL_WIDTH
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    for name, value in rows:
        # not markup: names of sinks and parts are shown as they are
        table.add_row(Text(name), Text(value))
    return table


def _topics(topics: Iterable[Json]) -> RenderableType:
    table = Table(title="slow topics", title_justify="left", title_style="bold", box=None, padding=(0, 1))
    table.add_column("URI", no_wrap=True, overflow="ellipsis", ratio=1)
    for name in ("followers", "behind", "waits", "cut"):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    for topic in topics:
        waits = age(topic["waiting_seconds"])
        table.add_row(Text(topic["uri"]), count(topic["followers"]), count(topic["behind"]), waits, count(topic["cut"]))
    return table if table.row_count else Text("no slow topics", style="dim")
