"""All metrics of a process or a node at one moment, as JSON."""

from typing import Any

from telemetry_app.exposition import Families
from telemetry_app.state import State


def snapshot(state: State) -> list[dict[str, Any]]:
    """Our metrics with their samples: [{"name", "type", "help", "samples": [{"name", "labels", "value"}]}].

    Histogram buckets are left out: sum and count say what a reader of JSON needs.
    """
    return [
        {
            "name": metric.name,
            "type": metric.type,
            "help": metric.documentation,
            "samples": [
                {"name": sample.name, "labels": sample.labels, "value": sample.value}
                for sample in metric.samples
                if not sample.name.endswith("_bucket")
            ],
        }
        for metric in Families(state).collect()
    ]
