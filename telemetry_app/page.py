"""The tables of docs/telemetry.md, written from the catalogue."""

from collections.abc import Iterable

from telemetry_app import metrics, system  # noqa: F401  # every metric is in the catalogue from here on
from telemetry_app.catalogue import CATALOGUE, Description, Merge

BEGIN = "<!-- the metrics, by `manage.py metrics --write` -->"
END = "<!-- end of the metrics -->"

NODES = {
    Merge.SUM: "sum",
    Merge.MAX: "highest",
    Merge.LATEST: "latest",
}
"""How a node has one figure of those that its processes have."""


def page(text: str) -> str:
    """The page with the tables as they have to be. Raises ValueError when it has no place for them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for the metrics")
    return f"{before}{BEGIN}\n{table(CATALOGUE.values())}{END}{after}"


def table(descriptions: Iterable[Description]) -> str:
    """Metrics as a table of Markdown, in the order of their names."""
    lines = ["| metric | type | labels | unit | node | meaning |", "|---|---|---|---|---|---|"]
    for told in sorted(descriptions, key=lambda description: description.name):
        labels = ", ".join(f"`{label}`" for label in told.labels) or "–"
        unit = told.unit or "–"
        lines.append(f"| `{told.name}` | {told.kind} | {labels} | {unit} | {NODES[told.merge]} | {told.meaning} |")
    return "\n".join(lines) + "\n"
