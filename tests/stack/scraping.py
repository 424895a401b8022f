"""What a node tells of itself at /metrics."""

from prometheus_client.parser import text_string_to_metric_families

from tests.stack.rest import Rest


async def metric(rest: Rest, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels; 0 when there is none."""
    text = (await rest.http.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())
