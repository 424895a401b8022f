"""All metrics of this process at one moment, as JSON."""

from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.registry import CollectorRegistry

PREFIX = "erlmcp_"


def snapshot(registry: CollectorRegistry = REGISTRY) -> list[dict[str, Any]]:
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
                if not sample.name.endswith(("_bucket", "_created"))
            ],
        }
        for metric in registry.collect()
        if metric.name.startswith(PREFIX)
    ]
